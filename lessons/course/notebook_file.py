"""Plumbing · notebooks on disk: checked when they are read, written whole."""

from pathlib import Path

from lessons.errors import BadInput, first_line
from lessons.files import parse_json, read_text, write_whole

import nbformat


def read_notebook(path: Path) -> nbformat.NotebookNode:
    """A notebook of the course; raises BadInput, with what is wrong, for anything else."""
    return parse_notebook(read_text(path), path)


def parse_notebook(text: str, path: Path) -> nbformat.NotebookNode:
    """The notebook with this text; `path` is where it stands, for a sentence."""
    try:
        _check_plain(parse_json(text))
        notebook = nbformat.reads(text, as_version=4)
        nbformat.validate(notebook)
    except Exception as error:  # nbformat trips over damage in many ways
        raise BadInput(
            f"{path} is not a notebook ({first_line(error)}): restore it, or open and save it in "
            "Jupyter."
        ) from None
    return notebook


def _check_plain(values: object) -> None:
    """What nbformat would mend at every reading, or answer with a warning."""
    if not isinstance(values, dict) or not isinstance(values.get("cells"), list):
        raise ValueError("it has no list of cells")
    version = values.get("nbformat"), values.get("nbformat_minor")
    if version not in [(4, minor) for minor in range(5, nbformat.current_nbformat_minor + 1)]:
        raise ValueError("its format is not 4.5")
    ids = [cell["id"] for cell in values["cells"] if isinstance(cell, dict) and "id" in cell]
    if len(ids) < len(values["cells"]) or len(set(ids)) < len(ids):
        raise ValueError("its cells do not have an id each")


def write_notebook(path: Path, notebook: nbformat.NotebookNode) -> None:
    """Write it as a whole file, in the layout that Jupyter gives it."""
    write_whole(path, text_of(notebook).encode())


def text_of(notebook: nbformat.NotebookNode) -> str:
    """What stands in its file."""
    return nbformat.writes(notebook) + "\n"
