"""What a page or the Makefile tells you to type exists, and says what it can do."""

import importlib
import re
import sys

from lessons.course.address import ROOT

import pytest

SCRIPTS = [path for path in sorted((ROOT / "helper_scripts").rglob("*.py"))
           if '__name__ == "__main__"' in path.read_text(encoding="utf-8")]  # fmt: skip
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
RECIPES = dict(re.findall(r"^([a-z]+|\$\(READY\)):.*\n((?:\t.*\n)+)", MAKEFILE, re.MULTILINE))
TYPED = {
    "make": r"""make (\w+) ARGS=["']?(--.*?)["'`\n]""",
    "python": r"python\S* (?:helper_scripts/)(\S+\.py)(.*?)[`\n]",
}


def help_of(script, monkeypatch, capsys) -> str:
    """What a script prints for --help."""
    monkeypatch.setattr(sys, "argv", [script.name, "--help"])
    with pytest.raises(SystemExit) as end:
        importlib.import_module(script.stem).main()
    assert end.value.code in (None, 0)
    return capsys.readouterr().out


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_every_script_says_what_it_does_and_what_each_flag_means(script, monkeypatch, capsys):
    said = help_of(script, monkeypatch, capsys)
    assert said.startswith("usage: ")
    assert importlib.import_module(script.stem).__doc__.split()[0] in said
    # The meaning stands after two spaces or, below a long flag, far to the right.
    lines = [*said.splitlines(), ""]
    for line, below in zip(lines, lines[1:], strict=False):
        if line.startswith("  -"):
            assert "  " in line.strip() or below.startswith(10 * " "), f"add a help to {line}"


# start.py runs before any package is there, and so has argparse's own parser.
OURS = [path for path in SCRIPTS if path.stem != "start"]


@pytest.mark.parametrize("script", OURS, ids=lambda path: path.stem)
def test_a_wrong_flag_gets_one_sentence_from_every_script(script, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [script.name, "--no-such-flag"])
    with pytest.raises(SystemExit) as end:
        importlib.import_module(script.stem).main()
    *_, said = capsys.readouterr().err.splitlines()
    assert end.value.code == 2 and said.startswith("error: ") and "--help" in said


def test_every_path_in_the_makefile_exists():
    recipes = "\n".join(RECIPES.values())
    named = re.findall(r"(?<![\w./-])\w[\w./-]*/[\w./-]+|\b[\w-]+\.(?:toml|txt|yml|md)\b", recipes)
    assert len(named) > 10
    assert [name for name in named if not (ROOT / name).exists()] == []


def script_behind(target: str):
    """The script that a target of the Makefile runs with your ARGS."""
    name = re.search(r"(helper_scripts/\S+\.py) \$\(ARGS\)", RECIPES.get(target, ""))
    assert name, f"`make {target}` takes no ARGS, or there is no such target"
    return ROOT / name[1]


@pytest.mark.parametrize("page", sorted(ROOT.glob("*.md")), ids=lambda path: path.name)
def test_every_flag_that_a_page_tells_you_to_type_exists(page, monkeypatch, capsys):
    text = page.read_text(encoding="utf-8")
    typed = [(script_behind(target), line) for target, line in re.findall(TYPED["make"], text)]
    typed += [(ROOT / "helper_scripts" / name, line)
              for name, line in re.findall(TYPED["python"], text)]  # fmt: skip
    for script, line in typed:
        known = set(re.findall(r"--[a-z][\w-]*", help_of(script, monkeypatch, capsys)))
        assert set(re.findall(r"--[a-z][\w-]*", line)) <= known, (script.name, line)
