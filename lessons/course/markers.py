"""Plumbing · parts of a page that scripts write, and the command line of such a script."""

import re
import sys
from pathlib import Path

from lessons.arguments import Parser
from lessons.errors import BadInput
from lessons.files import write_whole

import pandas as pd

README = Path(__file__).resolve().parents[2] / "README.md"


def replace_between(text: str, name: str, body: str) -> str:
    """The text with `body` between `<!-- name: start -->` and `<!-- name: end -->`."""
    start, end = f"<!-- {name}: start -->", f"<!-- {name}: end -->"
    if text.count(start) != 1 or text.count(end) != 1 or text.index(start) > text.index(end):
        raise BadInput(f"The page needs the lines {start} and {end}, each once and in this order.")
    before, rest = text.split(start)
    return f"{before}{start}\n{body}\n{end}{rest.split(end)[1]}"


def markdown(table: pd.DataFrame, words: list[str]) -> str:
    """The table in Markdown; all columns but `words` hold numbers and are aligned on the right."""
    sides = ["left" if column in words else "right" for column in table]
    padded = table.to_markdown(index=False, colalign=sides, disable_numparse=True)
    # Unpadded, so that a new number changes no other row.
    return re.sub(" {2,}", " ", re.sub("-{4,}", "---", padded))


def write_or_check(description: str) -> Parser:
    """The command line of a script that writes what is stale (--write) or reports it (--check)."""
    parser = Parser(description=description)
    mode = parser.add_mutually_exclusive_group(required=True)
    mode.add_argument("--write", action="store_true", help="write what is stale")
    mode.add_argument("--check", action="store_true", help="only report what is stale")
    return parser


def refresh(page: Path, old: str, new: str, write: bool, command: str) -> None:
    """Write the new text of a page, or exit with a sentence if it differs from the old one."""
    if write:
        write_whole(page, new.encode())
    elif new != old:
        sys.exit(f"{page.name} is stale: run {command}.")
