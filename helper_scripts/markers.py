"""Parts of a page that scripts write: they stand between two marker lines."""

from pathlib import Path

from lessons.errors import BadInput

README = Path(__file__).resolve().parent.parent / "README.md"


def replace_between(text: str, name: str, body: str) -> str:
    """The text with `body` between `<!-- name: start -->` and `<!-- name: end -->`."""
    start, end = f"<!-- {name}: start -->", f"<!-- {name}: end -->"
    if text.count(start) != 1 or text.count(end) != 1:
        raise BadInput(f"The page needs the lines {start} and {end}, each of them once.")
    before, rest = text.split(start)
    return f"{before}{start}\n{body}\n{end}{rest.split(end)[1]}"
