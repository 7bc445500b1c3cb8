import hashlib
import os
import socket
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from lessons import corpus, files
from lessons.at_scale.checkpoints import read_checkpoint
from lessons.corpus import holds_tiny_shakespeare, is_tiny_shakespeare, load_text, read_chunks
from lessons.errors import BadInput

import pytest

BODY = b"To be, or not to be: that is the question.\n" * 100


@pytest.fixture
def server(monkeypatch):
    """A web server on this machine in the place of the real one; set `.mode` to make it fail."""
    hang_up = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.server.requests += 1
            if self.server.mode == "silent":
                hang_up.wait(10)
                return
            body = {"wrong": BODY.upper(), "cut off": BODY[:1000]}.get(self.server.mode, BODY)
            self.send_response(404 if self.server.mode == "gone" else 200)
            self.send_header("Content-Length", str(len(BODY)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.mode, server.requests = "good", 0
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "127.0.0.1")
    monkeypatch.setattr(corpus, "URL", f"http://127.0.0.1:{server.server_port}/input.txt")
    monkeypatch.setattr(corpus, "TINY_SHAKESPEARE_SHA256", hashlib.sha256(BODY).hexdigest())
    yield server
    hang_up.set()
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_download_is_kept_and_not_repeated(server, tmp_path, capsys):
    assert load_text(data_dir=tmp_path / "data") == BODY.decode()
    assert (tmp_path / "data" / "input.txt").read_bytes() == BODY
    assert load_text(data_dir=tmp_path / "data") == BODY.decode()
    assert server.requests == 1 and capsys.readouterr().err == ""


def test_a_file_is_told_by_what_the_lessons_read_in_it(server, tmp_path):
    kept = tmp_path / "input.txt"
    for raw in (BODY, b"\xef\xbb\xbf" + BODY, BODY.replace(b"\n", b"\r\n")):
        kept.write_bytes(raw)
        assert holds_tiny_shakespeare(kept)
    for raw in (b"", BODY + b"\xff", BODY[1:]):
        kept.write_bytes(raw)
        assert not holds_tiny_shakespeare(kept)
    assert not holds_tiny_shakespeare(tmp_path) and not holds_tiny_shakespeare(tmp_path / "no.txt")


@pytest.mark.parametrize("mode", ["cut off", "wrong", "gone", "silent"])
def test_a_broken_download_leaves_nothing_behind_and_a_second_try_works(
    server, tmp_path, capsys, monkeypatch, mode
):
    server.mode = mode
    if mode == "silent":
        monkeypatch.setattr(corpus, "TIMEOUT", 0.5)
    fallback = load_text(data_dir=tmp_path)
    assert len(fallback) > 100_000 and list(tmp_path.iterdir()) == []
    assert "losses will not match" in capsys.readouterr().err
    monkeypatch.setattr(corpus, "TIMEOUT", 10)
    server.mode = "good"
    assert load_text(data_dir=tmp_path) == BODY.decode()


def test_without_a_network_there_is_still_a_text_and_one_line_says_which(
    monkeypatch, tmp_path, capsys
):
    monkeypatch.setattr(corpus, "URL", "http://127.0.0.1:9/input.txt")
    text = load_text(data_dir=tmp_path)
    assert len(text) > 100_000 and not is_tiny_shakespeare(text)
    assert list(tmp_path.iterdir()) == []
    said = capsys.readouterr().err
    assert "Python's own language reference" in said and len(said.splitlines()) == 1


def test_a_folder_that_cannot_be_written_does_not_stop_the_lesson(server, tmp_path, capsys):
    # A file where the folder should be: even root cannot write there.
    (tmp_path / "data").write_text("")
    assert load_text(data_dir=tmp_path / "data") == BODY.decode()
    assert "kept in memory only" in capsys.readouterr().err


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write")
def test_a_read_only_folder_does_not_stop_the_lesson(server, tmp_path, capsys):
    tmp_path.chmod(0o500)
    assert load_text(data_dir=tmp_path) == BODY.decode()
    assert "kept in memory only" in capsys.readouterr().err


def test_another_text_in_its_place_is_used_and_said_to_be_another(tmp_path, capsys):
    (tmp_path / "input.txt").write_text("my own text")
    assert load_text(data_dir=tmp_path) == "my own text"
    assert "is not Tiny Shakespeare" in capsys.readouterr().err


def test_a_file_of_the_readers_own_is_read(tmp_path):
    path = tmp_path / "mine.txt"
    path.write_bytes("\ufeffgrüße\r\n".encode())
    assert load_text(path) == "grüße\n"


@pytest.mark.parametrize(
    "content, complaint",
    [(b"", "is empty"), (b"caf\xe9", r"not UTF-8 text \(byte 3"), (None, "cannot be read")],
)
def test_a_file_that_cannot_be_used_is_named(tmp_path, content, complaint):
    path = tmp_path / "mine.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(BadInput, match=f"mine.txt .*{complaint}|mine.txt {complaint}"):
        load_text(path)


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "kept"
    corpus.write_whole(path, b"old")
    monkeypatch.setattr(os, "replace", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        corpus.write_whole(path, b"new")
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


@pytest.fixture
def no_file(tmp_path, request):
    """A path of this kind, from which one could read for ever."""
    path = tmp_path / "text.txt"
    if request.param == "folder":
        path.mkdir()
    elif request.param == "socket":
        with socket.socket(socket.AF_UNIX) as end:
            end.bind(str(path))
    elif request.param.startswith("/dev/"):
        path = Path(request.param)
    else:
        pipe = tmp_path / "pipe"
        os.mkfifo(pipe)
        path.symlink_to(pipe)
    return path


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such files")
@pytest.mark.parametrize(
    "no_file", ["folder", "link to a pipe", "socket", "/dev/zero", "/dev/null"], indirect=True
)
@pytest.mark.parametrize(
    "read",
    [load_text, lambda path: next(read_chunks(path)), files.read_json,
     lambda path: files.read_csv(path, ["seed"]), read_checkpoint],
    ids=["load_text", "read_chunks", "read_json", "read_csv", "read_checkpoint"],
)  # fmt: skip
def test_only_a_regular_file_is_read(no_file, read):
    with pytest.raises(BadInput, match=f"{no_file} is a .*, not a regular file"):
        read(no_file)


def test_a_folder_and_a_device_each_get_their_own_advice(tmp_path):
    with pytest.raises(BadInput, match="is a folder, .*: name a file, or move the folder"):
        load_text(tmp_path)
    if sys.platform != "win32":
        with pytest.raises(BadInput, match="is a device, .*: save what it gives into one"):
            load_text(Path("/dev/null"))


def test_a_text_that_grows_while_it_is_read_is_refused(tmp_path):
    path = tmp_path / "growing.txt"
    path.write_text("line\n" * 1000)
    read = 0
    with pytest.raises(BadInput, match="growing.txt changed while it was read"):
        for chunk in read_chunks(path, n_chars=1000):
            read += len(chunk)
            with open(path, "a") as file:
                file.write(chunk * 10)
            assert read < 10_000


def test_a_text_too_large_for_the_memory_is_refused_unread(tmp_path):
    path = tmp_path / "large.txt"
    with open(path, "wb") as file:
        file.truncate(corpus.MAX_BYTES + 1)  # it takes no room on the disk
    with pytest.raises(
        BadInput, match="large.txt has 1.0 GB, too much to read at once: use a part"
    ):
        load_text(path)
