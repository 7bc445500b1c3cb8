"""Keep the classes and functions that a notebook teaches equal, line for line, to lessons/."""

import sys

from lessons.course.address import ROOT
from lessons.course.catalogue import lesson_paths
from lessons.course.markers import write_or_check
from lessons.course.notebook_file import read_notebook, write_notebook
from lessons.course.taught import sync, taught
from lessons.errors import exits_cleanly


@exits_cleanly
def main() -> None:
    args = write_or_check(__doc__.splitlines()[0]).parse_args()
    failed = False
    for number, path in enumerate(lesson_paths(ROOT / "notebooks"), 1):
        notebook = read_notebook(path)
        differences = sync(notebook, taught(number, ROOT / "lessons"))
        for difference in differences:
            way_out = ": run `make notebooks`" if args.check and "differs" in difference else ""
            print(f"{path.name}: {difference}{way_out}")
            failed |= args.check or difference.startswith("no cell")
        if args.write and differences:
            write_notebook(path, notebook)
    if failed:
        sys.exit(1)


if __name__ == "__main__":
    main()
