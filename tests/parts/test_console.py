"""What a script prints never stops it, and what is not its own fault ends in one sentence."""

import errno
import io
import os
import sys
from pathlib import Path

from lessons.console import Console, nobody_reads
from lessons.errors import BadInput, exits_cleanly

import pytest

unix = pytest.mark.skipif(os.name == "nt", reason="Windows has neither /dev/full nor os.pipe's end")


def stream(descriptor: int, encoding: str = "utf-8") -> io.TextIOWrapper:
    """A text stream as Python opens it for a script: it fails at a character that it lacks."""
    return io.TextIOWrapper(os.fdopen(descriptor, "wb"), encoding=encoding, errors="strict")


def without_reader() -> io.TextIOWrapper:
    """A pipe whose reader has gone, as in `make train | true`."""
    reading, writing = os.pipe()
    os.close(reading)
    return stream(writing)


def full_disk() -> io.TextIOWrapper:
    return stream(os.open("/dev/full", os.O_WRONLY))


def read_only() -> io.TextIOWrapper:
    return stream(os.open(os.devnull, os.O_RDONLY))


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [
        ("ascii", "na\\xefve \\u2192 \\U0001f600\\udcff\n"),
        ("cp1252", "na\xefve \\u2192 \\U0001f600\\udcff\n"),
        ("utf-8", "na\xefve \u2192 \U0001f600\\udcff\n"),
        ("utf-16-le", "na\xefve \u2192 \U0001f600\\udcff\n"),
    ],
)
def test_a_console_shows_the_code_of_a_character_that_it_lacks(encoding, shown):
    raw = io.BytesIO()
    console = Console(io.TextIOWrapper(raw, encoding=encoding, errors="strict", newline=""))
    print("naïve → 😀\udcff", file=console, flush=True)
    assert raw.getvalue().decode(encoding) == shown and console.lost is None


@unix
@pytest.mark.parametrize("make", [without_reader, full_disk, read_only])
def test_output_that_is_refused_is_dropped_with_all_that_follows(make):
    raw = make()
    console = Console(raw)
    for _ in range(3):
        print("x" * 100_000, file=console, flush=True)
    assert isinstance(console.lost, OSError)
    assert (console.gap() is None) == (make is without_reader)
    raw.close()  # Python does it when it ends, and what is in the buffer must not fail then


@unix
def test_a_full_disk_is_found_when_the_buffer_is_handed_on_too():
    raw = full_disk()
    console = Console(raw)
    console.write("little")
    assert console.lost is None
    console.flush()
    assert console.lost.errno == errno.ENOSPC and "No space left" in console.gap()
    raw.close()


@unix
@pytest.mark.parametrize("out", [without_reader, full_disk, read_only, lambda: None])
@pytest.mark.parametrize("err", [without_reader, full_disk, read_only, lambda: None])
def test_work_goes_on_whatever_happens_to_its_output(monkeypatch, out, err):
    streams = out(), err()
    monkeypatch.setattr(sys, "argv", ["script"])
    monkeypatch.setattr(sys, "stdout", streams[0])
    monkeypatch.setattr(sys, "stderr", streams[1])
    done = []

    @exits_cleanly
    def main():
        for step in range(3):
            print("→" * 10_000, flush=True)
            print(step, file=sys.stderr)
            done.append(step)

    refused = out in (full_disk, read_only)
    if refused:
        with pytest.raises(SystemExit) as end:
            main()
        assert end.value.code == 2  # the work is done, but not all of the output is there
    else:
        main()
    assert done == [0, 1, 2] and (sys.stdout, sys.stderr) == streams
    for raw in filter(None, streams):
        raw.close()


@unix
def test_a_script_can_ask_whether_anybody_reads(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["script"])
    raw, printed = without_reader(), []
    monkeypatch.setattr(sys, "stdout", raw)

    @exits_cleanly
    def main():
        while not nobody_reads():
            print("a line", flush=True)
            printed.append(1)

    main()
    assert len(printed) == 1
    raw.close()


def ended(monkeypatch, capsys, work, *words) -> tuple[int, str]:
    """The status with which a script ends whose main does this, and what it says on stderr."""
    monkeypatch.setattr(sys, "argv", ["script", *words])
    with pytest.raises(SystemExit) as end:
        exits_cleanly(work)()
    return end.value.code, capsys.readouterr().err


def test_bad_input_is_one_sentence_and_status_2(monkeypatch, capsys):
    def main():
        raise BadInput("The text is empty: write some.")

    assert ended(monkeypatch, capsys, main) == (2, "error: The text is empty: write some.\n")


@pytest.mark.parametrize(
    "name", ["missing", "file/below", "loop", "n" * 300, "/".join(["d" * 99] * 99)]
)
def test_what_the_system_refuses_is_one_sentence_that_names_the_file(
    monkeypatch, capsys, tmp_path, name
):
    (tmp_path / "file").write_text("")
    (tmp_path / "loop").symlink_to("loop")
    status, said = ended(monkeypatch, capsys, lambda: (tmp_path / name).read_text())
    assert status == 2 and said.count("\n") == 1
    assert said.startswith(f"error: {tmp_path / name} cannot be read or written (")


@pytest.mark.parametrize("refusal", [PermissionError, IsADirectoryError, OSError])
def test_both_files_of_a_refusal_are_named(monkeypatch, capsys, refusal):
    def main():
        raise refusal(errno.EACCES, "Permission denied", "here", None, b"there")

    status, said = ended(monkeypatch, capsys, main)
    assert status == 2 and "here and there cannot be read or written (Permission denied)" in said


@pytest.mark.parametrize(
    ("refusal", "reason"),
    [(OSError(errno.ENOSPC, "No space left on device"), "No space left on device"),
     (OSError(errno.EMFILE, "Too many open files", None), "Too many open files"),
     (OSError("not all of it was sent"), "not all of it was sent"), (OSError(), "OSError"),
     (OSError(errno.EBADF, "Bad file descriptor", 7), "Bad file descriptor")],
)  # fmt: skip
def test_a_refusal_that_names_no_file_speaks_of_none(monkeypatch, capsys, refusal, reason):
    def main():
        raise refusal

    status, said = ended(monkeypatch, capsys, main)
    assert status == 2 and said.startswith(
        f"error: The operating system refused to go on ({reason}): "
    )
    assert "path" not in said and said.count("\n") == 1


@pytest.mark.parametrize("word", ["a\0b", "a\ud800b"])
def test_an_argument_that_no_file_can_have_as_its_name_is_refused(monkeypatch, capsys, word):
    status, said = ended(monkeypatch, capsys, lambda: Path(word).read_text(), "--out", word)
    assert status == 2 and said.count("\n") == 1 and "holds what no file name can" in said


def test_an_error_of_the_program_shows_its_frames(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["script"])
    for error in (ValueError, TypeError, KeyError, RuntimeError):
        with pytest.raises(error):
            exits_cleanly(lambda error=error: (_ for _ in ()).throw(error("a bug")))()
