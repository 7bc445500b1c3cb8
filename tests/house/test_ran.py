"""tests/ran.py notices whatever keeps a test from being tried, wherever it stands."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

NOTICED = "left out or went wrong|wrote no report.xml|without their bodies"
RAN = Path(__file__).resolve().parents[1] / "ran.py"
TESTS = """
import pytest

def test_one(record_property):
    record_property("body", "ran")

@pytest.mark.parametrize("n", [1, 2])
def test_two(n):
    pass
"""


@pytest.fixture
def said(tmp_path):
    """What ran.py says of a course with these tests and files, tried with these flags."""

    def run(*flags: str, tests: str = TESTS, addopts: str = "", **files: str) -> str:
        (tmp_path / "tests").mkdir()
        (tmp_path / "tests" / "ran.py").write_text(RAN.read_text("utf-8"), "utf-8")
        (tmp_path / "tests" / "test_a.py").write_text(tests)
        for name, text in files.items():
            (tmp_path / f"{name}.py").write_text(text)
        # Other plugins than those named take seconds to load.
        env = os.environ | {"PYTEST_ADDOPTS": addopts, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
        pytest_run = ["-m", "pytest", "--rootdir=.", "-p", "no:cacheprovider", *flags]
        for words in ([*pytest_run, "--junitxml=report.xml"], ["tests/ran.py", "report.xml"]):
            done = subprocess.run(
                [sys.executable, *words], cwd=tmp_path, env=env, capture_output=True, text=True
            )
        assert (done.returncode == 0) == (done.stderr == "")
        assert not (tmp_path / "report.xml").exists()
        return done.stderr

    return run


def test_a_whole_run_is_a_good_one_in_one_process_or_two(said):
    assert said("-p", "xdist", "--numprocesses=2") == ""


def test_what_a_machine_lacks_may_be_left_out_and_nothing_else(said):
    assert said(tests=TESTS.replace("pass", "pytest.skip('Tiny Shakespeare is not here')")) == ""


def test_the_bodies_of_tests_are_run(record_property):
    record_property("body", "ran")  # for ran.py, which looks for it in the report


@pytest.mark.parametrize(
    "flags",
    [
        ("-k", "nothing"), ("-k", "one"), ("-m", "slow"), ("--collect-only",), ("--co", "-q"),
        ("--ignore=tests",), ("--deselect=tests/test_a.py::test_one",), ("--version",), ("--help",),
        ("tests/test_a.py::test_one",), ("--setup-only",), ("--setup-plan",), ("--fixtures",),
        ("-p", "no:skipping", "--runxfail", "-k", "two"), ("--stepwise", "--lf", "-k", "one"),
        ("-p", "no:junitxml"), ("-p", "no:python"),
    ],
)  # fmt: skip
def test_flags_that_run_less_are_noticed(said, flags):
    assert re.search(NOTICED, said(*flags))


def test_a_variable_that_runs_less_is_noticed(said):
    assert "tests.test_a.test_two (did not run)" in said(addopts="-k one")


@pytest.mark.parametrize(
    "conftest",
    [
        "def pytest_collection_modifyitems(items): items.clear()",
        "def pytest_collection_modifyitems(items):\n"
        "    import pytest; [i.add_marker(pytest.mark.skip(reason='quick')) for i in items]",
        "def pytest_runtest_setup():\n    import pytest; pytest.skip('not today')",
        "def pytest_runtest_protocol(): return True",
        "def pytest_ignore_collect(): return True",
        "def pytest_pyfunc_call():\n    import pytest; pytest.skip()",
        "def pytest_pyfunc_call(): return True",
        "collect_ignore = ['tests']",
        "collect_ignore_glob = ['*/test_*']",
        "import os; os._exit(0)",
        "import pytest; pytest.exit('enough', returncode=0)",
        "def pytest_cmdline_main(): return 0",
        "import pytest\n@pytest.fixture(autouse=True)\ndef no(): pytest.skip('no')",
    ],
)
def test_a_conftest_that_runs_less_is_noticed(said, conftest):
    assert re.search(NOTICED, said(conftest=conftest))


def test_a_failure_that_a_hook_hides_is_noticed(said):
    hide = "def pytest_sessionfinish(session): session.exitstatus = 0"
    text = said(tests=TESTS.replace("pass", "assert n == 1"), conftest=hide)
    assert "tests.test_a.test_two (failure: assert 2 == 1)" in text


@pytest.mark.parametrize(
    "mark",
    ["skip", "skip(reason='flaky')", "skipif(True, reason='flaky')", "xfail(run=False)"],
)
@pytest.mark.parametrize("place", ["pytestmark = pytest.mark.", "@pytest.mark."])
def test_a_mark_that_skips_is_noticed(said, mark, place):
    tests = TESTS.replace("def test_one", f"{place}{mark}\n\ndef test_one")
    assert "tests.test_a.test_one (skipped" in said(tests=tests)


def test_parameters_that_have_become_none_are_noticed(said):
    assert "test_two (skipped: got empty parameter" in said(tests=TESTS.replace("[1, 2]", "[]"))


def test_a_pytest_of_another_kind_is_noticed(said):
    assert "wrote no report.xml" in said(pytest="raise SystemExit(0)")
