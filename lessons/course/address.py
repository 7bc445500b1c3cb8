"""Plumbing · where the course lives on GitHub, and the badge that opens a notebook in Colab."""

import tomllib
from pathlib import Path

from lessons.errors import BadInput, first_line
from lessons.files import read_text

ROOT = Path(__file__).resolve().parents[2]


def from_toml(path: Path, keys: str, kind: type) -> object:
    """What stands in pyproject.toml under `keys`, such as "project dependencies".

    Raises BadInput if nothing of this kind does.
    """
    try:
        value = tomllib.loads(read_text(path))
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise BadInput(f"{path} is not TOML ({first_line(error)}): restore it.") from None
    for key in keys.split():
        value = value.get(key) if isinstance(value, dict) else None
    if not isinstance(value, kind):
        raise BadInput(f"{path} lacks what should stand under {' > '.join(keys.split())}: add it.")
    return value


def address() -> dict[str, str]:
    """owner, repository and branch of the course, from pyproject.toml."""
    names, path = ("owner", "repository", "branch"), ROOT / "pyproject.toml"
    return {name: from_toml(path, f"tool gpt-ladder {name}", str) for name in names}


def badge(place: dict[str, str], notebook: Path) -> str:
    """The Markdown image that opens this notebook of the course at `place` in Colab."""
    path = "{owner}/{repository}/blob/{branch}/".format(**place)
    path += notebook.relative_to(ROOT).as_posix()
    image = "https://colab.research.google.com/assets/colab-badge.svg"
    return f"[![Open in Colab]({image})](https://colab.research.google.com/github/{path})"
