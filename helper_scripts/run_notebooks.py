"""Run notebooks from top to bottom and keep their outputs; unchanged ones give a clean diff."""

import argparse
import os
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from lessons.corpus import is_tiny_shakespeare, load_text, write_whole
from lessons.errors import BadInput, exits_cleanly

NOTEBOOKS_DIR = Path(__file__).resolve().parent.parent / "notebooks"
# The same for everyone, so that a run on another machine does not touch it.
METADATA = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def run(path: Path) -> None:
    """Run one notebook in place; raises BadInput, and leaves the file alone, if a cell fails."""
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook,
        timeout=600,
        kernel_name="python3",
        record_timing=False,
        resources={"metadata": {"path": str(path.parent)}},
    )
    try:
        client.execute()
    except CellExecutionError as error:
        raise BadInput(f"A cell of {path.name} failed, nothing was written:\n{error}") from None
    # Colab's own entries, such as the wish for a GPU, stay.
    notebook.metadata.update(METADATA)
    write_whole(path, (nbformat.writes(notebook) + "\n").encode())


@exits_cleanly
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("notebooks", nargs="*", type=Path, help="default: all of them")
    args = parser.parse_args()
    if not is_tiny_shakespeare(load_text()):
        raise BadInput(
            "The committed outputs are those of Tiny Shakespeare: put it at data/input.txt."
        )
    # Bars are redrawn by the clock: their traces would differ every time.
    os.environ["TQDM_DISABLE"] = "1"
    for path in args.notebooks or sorted(NOTEBOOKS_DIR.glob("[0-9][0-9]_*.ipynb")):
        print(path.name, flush=True)
        run(path)


if __name__ == "__main__":
    main()
