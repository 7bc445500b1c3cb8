"""Plumbing · what a lesson teaches, as lessons/ has it, and whether its notebook says the same.

A module says in its first line which lesson teaches it. For every public name in it, one
cell of that lesson's notebook must hold the module's text; cruder versions may stand before
it. Where none does, the last cell that defines the name is the one to be updated.
"""

import ast
import re
from pathlib import Path

import nbformat

Span = tuple[int, int]  # first line and the line after the last, counted from 0


def definitions(source: str) -> dict[str, Span]:
    """Where the public top-level classes and functions of a source text stand."""
    spans = {}
    try:
        tree = ast.parse(source)
    except SyntaxError:  # a cell with a %magic
        return spans
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_"):
            first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
            spans[node.name] = (first - 1, node.end_lineno)
    return spans


def segment(source: str, name: str) -> str:
    """The lines of a source text that define this name."""
    first, end = definitions(source)[name]
    return "\n".join(source.splitlines()[first:end])


def taught(lesson: int, package: Path) -> dict[str, str]:
    """Name -> text of everything that this lesson teaches, as the modules have it."""
    texts = {}
    for path in sorted(package.rglob("*.py")):
        source = path.read_text(encoding="utf-8")
        match = re.match(r'"""Lesson (\d+) · ', source)
        if match and int(match[1]) == lesson:
            texts |= {name: segment(source, name) for name in definitions(source)}
    return texts


def sync(notebook: nbformat.NotebookNode, texts: dict[str, str]) -> list[str]:
    """Bring the notebook's cells up to date, in place; returns one sentence per difference."""
    differences = []
    for name, text in texts.items():
        cells = [
            cell
            for cell in notebook.cells
            if cell.cell_type == "code" and name in definitions(cell.source)
        ]
        if not cells:
            differences.append(f"no cell defines {name}: add one")
            continue
        if any(segment(cell.source, name) == text for cell in cells):
            continue
        lines = cells[-1].source.splitlines()
        first, end = definitions(cells[-1].source)[name]
        differences.append(f"{name} differs from the module")
        cells[-1].source = "\n".join([*lines[:first], text, *lines[end:]])
    return differences
