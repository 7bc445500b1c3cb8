"""train.py and sample.py as a user calls them, in this process."""

import shutil
import sys
from pathlib import Path

import train

import pytest

BEGIN = ["--preset", "small", "--max-iters", "20", "--eval-interval", "10"]


@pytest.fixture(scope="session")
def finished(tmp_path_factory, text) -> Path:
    """The folder of a run that has ended, as `run.begin()` leaves it."""
    folder = tmp_path_factory.mktemp("finished")
    (folder / "mine.txt").write_text(text)
    words = [*BEGIN, "--text", str(folder / "mine.txt"), "--out", str(folder / "run")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["train.py", *words])
        train.main()
    return folder / "run"


@pytest.fixture
def run(tmp_path, text_file, monkeypatch, capsys, request):
    """train.py's main in this process, on a small text; returns what it printed."""

    def main(*words: str, script=train, out: Path = tmp_path / "run") -> str:
        where = ["--out", str(out)] if script is train else ["--run", str(out)]
        monkeypatch.setattr(sys, "argv", ["script", *where, *map(str, words)])
        script.main()
        return capsys.readouterr().out

    main.begin = lambda *words: main(*BEGIN, "--text", text_file, *words)
    main.folder = tmp_path / "run"
    # The same folder without the time that it takes, for tests of what comes later.
    main.ended = lambda: shutil.copytree(request.getfixturevalue("finished"), main.folder)
    return main


@pytest.fixture
def refused(run, capsys):
    """Call train.py and return the one sentence that it ends with."""

    def main(*words: str, begin: bool = False, **more) -> str:
        with pytest.raises(SystemExit) as end:
            run.begin(*words) if begin else run(*words, **more)
        sentence = capsys.readouterr().err.splitlines()[-1]
        assert end.value.code == 2 and sentence.startswith("error: ")
        return sentence

    return main
