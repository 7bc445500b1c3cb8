"""Was every test tried? python tests/ran.py REPORT, the JUnit file of a whole run of pytest.

Outside pytest, for whatever makes pytest run less (a filter, a hook of a conftest, a mark, an
`exit`) silences the tests of that as well. The report is removed: an old one proves nothing.
"""

import ast
import re
import sys
from pathlib import Path
from xml.etree import ElementTree

# What a machine may lack, in the words of the tests. Any other skip is an error.
LACKING = {
    "Tiny Shakespeare is not here",
    "12 sequences are for a laptop",
    "root may write",
    "there is a CUDA device",
    "asks Linux for child processes",
    "Linux tells it there",
    "GNU's OpenMP is Linux's",
    "Windows has no kill -9",
    "Windows has no file size limit to set",
    "torchrun wants a Unix here",
    "needs a group of processes to interrupt",
    "no Python from 3.8 to 3.10 here",
    "this Python has no wheel of pip",
    "fetches 300 MB: set WORKSHOP_KIT=1",
}


def written(folder: Path) -> set[str]:
    """Every test function below `folder`, named as in a report, such as tests.parts.test_x.test_y.

    A report starts at the folder above.
    """
    found = set()
    for path in folder.rglob("test_*.py"):
        module = ".".join(path.relative_to(folder.parent).with_suffix("").parts)
        tree = ast.parse(path.read_text(encoding="utf-8"))
        found |= {
            f"{module}.{node.name}"
            for node in tree.body
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
        }
    return found


def outcomes(report: ElementTree.Element) -> tuple[set[str], dict[str, str]]:
    """The tests that were tried, or for which the machine lacks something; the others, with why."""
    tried, wrong = set(), {}
    for case in report.iter("testcase"):
        name = re.sub(r"\[.*", "", f"{case.get('classname')}.{case.get('name')}", flags=re.DOTALL)
        found = next((x for x in case if x.tag in ("skipped", "failure", "error")), None)
        reason = "" if found is None else found.get("message") or ""
        if found is None or (found.tag == "skipped" and reason in LACKING):
            tried.add(name)
        else:
            wrong[name] = f"{found.tag}: {reason.splitlines()[0] if reason else 'no reason'}"
    return tried, wrong


def main(path: Path, folder: Path) -> str | None:
    """The sentence to end with, or None if all is well."""
    if not path.exists():
        return f"pytest wrote no {path}: it did not come to its end."
    report = ElementTree.parse(path).getroot()
    path.unlink()
    tried, wrong = outcomes(report)
    wrong = dict.fromkeys(sorted(written(folder) - tried), "did not run") | wrong
    if wrong:
        shown = [f"  {name} ({why})" for name, why in list(wrong.items())[:10]]
        said = [f"{len(wrong)} tests were left out or went wrong, though each must run:", *shown]
    # One test records that its own body has run: --setup-only and some hooks leave bodies out.
    elif not any(found.get("name") == "body" for found in report.iter("property")):
        said = ["The tests were passed without their bodies."]
    else:
        return None
    return "\n".join([
        *said, "Look for what leaves them out: the Makefile, pyproject.toml, PYTEST_ADDOPTS, a "
        "conftest.py, a mark. What a machine may lack is listed in tests/ran.py.",
    ])  # fmt: skip


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(__file__).parent))
