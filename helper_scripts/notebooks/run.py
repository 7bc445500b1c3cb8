"""Run notebooks from top to bottom and keep their outputs; unchanged ones give a clean diff.

A cell tagged `timing` prints times, which differ from run to run: if nothing else differs, the
notebook stays as it was. The sample that opens a lesson is what the lesson before it printed in
its cell tagged `quoted`.
"""

import os
import re
from pathlib import Path

from lessons.arguments import Parser
from lessons.corpus import is_tiny_shakespeare, load_text
from lessons.course.catalogue import lesson_paths, solutions_of
from lessons.course.notebook_file import read_notebook, write_notebook
from lessons.errors import BadInput, exits_cleanly

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

NOTEBOOKS_DIR = Path(__file__).resolve().parents[2] / "notebooks"
# The same for everyone, so that a run on another machine does not touch it.
METADATA = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def tagged(notebook: nbformat.NotebookNode, tag: str) -> list[nbformat.NotebookNode]:
    """The cells that have this tag."""
    return [cell for cell in notebook.cells if tag in cell.metadata.get("tags", [])]


def sample_of(path: Path) -> str:
    """What the model of this notebook wrote."""
    cells = tagged(read_notebook(path), "quoted")
    text = "".join(output.get("text", "") for cell in cells for output in cell.get("outputs", []))
    if len(cells) != 1 or not text.strip():
        raise BadInput(f"{path.name} needs one cell tagged `quoted` that prints text: add it.")
    return text.strip()


def quote(notebook: nbformat.NotebookNode, sample: str) -> None:
    """Put the last lesson's sample into the fence of **Where we are**, in place."""
    opening = (cell for cell in notebook.cells if cell.source.startswith("## Where we are"))
    if (cell := next(opening, None)) is None:
        raise BadInput("The notebook needs a cell that begins with `## Where we are`: add it.")
    fence = "```\n" + sample + "\n```"
    cell.source = re.sub(r"```\n.*?\n```", lambda _: fence, cell.source, flags=re.DOTALL)


def lasting(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    """The notebook's cells, without the outputs that differ from run to run."""
    timed = {cell.id for cell in tagged(notebook, "timing") if cell.outputs}
    return [cell | {"outputs": []} if cell.id in timed else cell for cell in notebook.cells]


def run(path: Path, before: Path | None = None) -> None:
    """Run one notebook in place; raises BadInput, and leaves the file alone, if a cell fails.

    `before` is the notebook of the last lesson, whose sample this one quotes.
    """
    notebook, old = read_notebook(path), read_notebook(path)
    if before:
        quote(notebook, sample_of(before))
    client = NotebookClient(
        notebook,
        timeout=600,
        kernel_name="python3",
        record_timing=False,
        coalesce_streams=True,  # pieces of one print would differ from run to run
        resources={"metadata": {"path": str(path.parent)}},
    )
    try:
        client.execute()
    except CellExecutionError as error:
        raise BadInput(f"A cell of {path.name} failed, nothing was written:\n{error}") from None
    # Colab's own entries, such as its request for a GPU, stay.
    notebook.metadata.update(METADATA)
    if (lasting(notebook), notebook.metadata) == (lasting(old), old.metadata):
        return
    write_notebook(path, notebook)


@exits_cleanly
def main() -> None:
    parser = Parser(description=__doc__.splitlines()[0])
    parser.add_argument("notebooks", nargs="*", metavar="01", help="numbers (default: all)")
    args = parser.parse_args()
    if not is_tiny_shakespeare(load_text()):
        raise BadInput(
            "The committed outputs are those of Tiny Shakespeare: move the text in data/input.txt "
            "elsewhere, and it is downloaded."
        )
    # Bars are redrawn by the clock: their traces would differ every time.
    os.environ["TQDM_DISABLE"] = "1"
    # The text describes what a CPU trains.
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    paths = lesson_paths(NOTEBOOKS_DIR)
    unknown = set(args.notebooks) - {path.name[:2] for path in paths}
    if unknown:
        raise BadInput(f"There is no notebook {unknown.pop()}: give its two digits, such as 01.")
    # A lesson quotes the one before it; solutions stand for themselves.
    solutions = [path for path in map(solutions_of, paths) if path.exists()]
    before = dict(zip(paths[1:], paths, strict=False))
    for path in paths + solutions:
        if not args.notebooks or path.name[:2] in args.notebooks:
            print(path.name, flush=True)
            run(path, before.get(path))


if __name__ == "__main__":
    main()
