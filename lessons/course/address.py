"""Plumbing · where the course lives on GitHub, and the badge that opens a notebook in Colab."""

import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def address() -> dict[str, str]:
    """owner, repository and branch of the course, from pyproject.toml."""
    with open(ROOT / "pyproject.toml", "rb") as file:
        return tomllib.load(file)["tool"]["gpt-ladder"]


def badge(place: dict[str, str], notebook: Path) -> str:
    """The Markdown image that opens this notebook of the course at `place` in Colab."""
    path = "{owner}/{repository}/blob/{branch}/".format(**place)
    path += notebook.relative_to(ROOT).as_posix()
    image = "https://colab.research.google.com/assets/colab-badge.svg"
    return f"[![Open in Colab]({image})](https://colab.research.google.com/github/{path})"
