"""Wherever a page or a notebook leads, there is something: files, headings, images."""

import re
from collections import Counter
from urllib.parse import unquote

from lessons.course.address import ROOT, address
from lessons.course.catalogue import lesson_paths, solutions_of

import nbformat
import pytest

pytestmark = pytest.mark.lint
LESSONS = lesson_paths(ROOT / "notebooks")
TEXTS = [*sorted(ROOT.glob("*.md")), *LESSONS, *map(solutions_of, LESSONS)]
HOME = "/(blob|tree)/".join(["github.com/{owner}/{repository}", "{branch}/"]).format(**address())


def words_of(path) -> str:
    """The Markdown of a page or of a notebook, without blocks of code."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".ipynb":
        cells = nbformat.reads(text, as_version=4).cells
        text = "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    return re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)


def targets_in(text: str) -> list[str]:
    """Where a text leads: links and images, in Markdown's ways of writing them and in HTML's."""
    text = re.sub(r"`[^`\n]*`", "", text)
    inline = re.findall(r"\]\(\s*<?([^)\s>]+)", text)
    defined = re.findall(r"^ {0,3}\[[^\]]+\]:\s*<?(\S+?)>?$", text, re.MULTILINE)
    html = re.findall(r"""(?:href|src)\s*=\s*["']([^"']+)""", text)
    return inline + defined + html


def anchors_of(path) -> set[str]:
    """The names of a page's headings, as GitHub makes them, and those that it gives itself."""
    text, seen, names = words_of(path).replace("`", ""), Counter(), set()
    for heading in re.findall(r"^#{1,6} +(.+?) *#*$", text, re.MULTILINE):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
        slug = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
        names.add(f"{slug}-{seen[slug]}" if seen[slug] else slug)
        seen[slug] += 1
    return names | set(re.findall(r"""(?:id|name)\s*=\s*["']([^"']+)""", text))


def dead(path, target: str) -> bool:
    """Whether a link of `path` leads nowhere; of other sites it is not known."""
    home = re.search(rf"{HOME}(.*)", target)
    base = ROOT if home else path.parent
    if re.match(r"[a-z]+:", target) and not home:
        return False
    file, _, anchor = unquote(home[2] if home else target).partition("#")
    led_to = (base / file) if file else path
    return not led_to.exists() or bool(anchor) and anchor not in anchors_of(led_to)


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.stem)
def test_every_link_anchor_and_image_leads_somewhere(path):
    leading_nowhere = [target for target in targets_in(words_of(path)) if dead(path, target)]
    assert not leading_nowhere, f"{path.name} leads nowhere: {leading_nowhere}"


@pytest.mark.parametrize(
    "target",
    ["gone.md", "#gone", "README.md#gone", "images/gone.png", "lessons/gone.py",
     "https://github.com/{owner}/{repository}/blob/{branch}/gone.md".format(**address())],
)  # fmt: skip
def test_a_link_that_leads_nowhere_is_noticed(target):
    for text in (f"[a]({target})", f'![a]({target} "t")', f"[a]: {target}", f"<a href='{target}'>"):
        assert [t for t in targets_in(text) if dead(ROOT / "README.md", t)] == [target]


@pytest.mark.parametrize("target", ["LICENSE", "README.md#two-commands", "#the-house", "notebooks"])
def test_a_link_that_leads_somewhere_is_not(target):
    assert not dead(ROOT / "README.md", target)


@pytest.mark.parametrize("image", sorted((ROOT / "images").iterdir()), ids=lambda path: path.name)
def test_every_image_is_shown_on_a_page(image):
    assert any(f"images/{image.name}" in words_of(path) for path in TEXTS)
