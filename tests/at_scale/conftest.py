"""train.py and sample.py as a user calls them, in this process."""

import sys
from pathlib import Path

import train

import pytest


@pytest.fixture
def run(tmp_path, text_file, monkeypatch, capsys):
    """train.py's main in this process, on a small text; returns what it printed."""

    def main(*words: str, script=train, out: Path = tmp_path / "run") -> str:
        where = ["--out", str(out)] if script is train else ["--run", str(out)]
        monkeypatch.setattr(sys, "argv", ["script", *where, *map(str, words)])
        script.main()
        return capsys.readouterr().out

    main.begin = lambda *words: main(
        "--preset", "small", "--text", text_file, "--max-iters", "20", "--eval-interval", "10",
        *words,
    )  # fmt: skip
    main.folder = tmp_path / "run"
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
