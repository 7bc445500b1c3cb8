"""Set up the course in this folder, once, and open its notebooks: python start.py

It needs only Python. Where there is a folder wheels/, the packages come from it, without a
network. The course's code is read from this folder, so what you change in lessons/ takes effect.
An old Python can run this file too, and then says that it is too old.
"""

import argparse
import os
import platform
import re
import signal
import subprocess
import sys
import sysconfig
from pathlib import Path

HERE = Path(__file__).resolve().parent
VENV = HERE / ".venv"
PYTHON = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
READY = VENV / "ready"  # written last: a set-up that was cut off starts again
WHEELS = HERE / "wheels"
OLDEST = (3, 11)
THIS = platform.python_version()


def stop(sentence):
    """End with one sentence on stderr."""
    sys.exit(f"error: {sentence}")


def called(version):
    """What to type for another Python."""
    return f"`py -{version} start.py`" if os.name == "nt" else f"`python{version} start.py`"


def run(*command):
    """Whether a command succeeds; its output is shown."""
    return subprocess.run([str(word) for word in command], cwd=str(HERE)).returncode == 0


def check_python(kit):
    """Stop if this Python is too old, or not the one that the wheels are for."""
    versions = re.findall(r"Python (\d\.\d+)", kit)
    if sys.version_info < OLDEST:
        stop(f"Python 3.11 or newer is needed, and this is Python {THIS}: install one and "
             f"start with it, as in {called((versions or ['3.12'])[0])}.")  # fmt: skip
    if kit and not versions:
        stop("wheels/kit.txt does not say for which Python they are: unpack students.zip again, or "
             "add --online.")  # fmt: skip
    if kit and "{}.{}".format(*sys.version_info) not in versions:
        stop(f"These wheels are for Python {' or '.join(versions)}, and this is Python {THIS}: "
             f"start with the other, as in {called(versions[0])}, or add --online.")  # fmt: skip


def requirements():
    """The packages that the notebooks need, from pyproject.toml."""
    import tomllib  # an old Python has none

    try:
        with open(str(HERE / "pyproject.toml"), "rb") as file:
            project = tomllib.load(file)["project"]
        return project["dependencies"] + project["optional-dependencies"]["lab"]
    except (ValueError, LookupError, TypeError) as error:
        stop(f"pyproject.toml is damaged ({error}): unpack students.zip again.")


def set_up(kit):
    """Make .venv with the packages, and stop with what is wrong if that fails."""
    print("Setting up, once: this takes some minutes.", flush=True)
    # The kit's own pip: Debian and Ubuntu come without one, and without ensurepip.
    pip_wheels = sorted(WHEELS.glob("pip-*.whl")) if kit else []
    without = ["--without-pip"] if pip_wheels else []
    if not run(sys.executable, "-m", "venv", "--clear", *without, VENV):
        stop("The folder .venv could not be made; Python's own message is above.")
    pip = [PYTHON, pip_wheels[0] / "pip"] if pip_wheels else [PYTHON, "-m", "pip"]
    source = ["--isolated", "--quiet", "--no-index", "--find-links", WHEELS] if kit else []
    if not run(*pip, "install", "--disable-pip-version-check", *source,
               "--constraint", HERE / "constraints.txt", *requirements()):  # fmt: skip
        system = platform.system().replace("Darwin", "macOS")
        fits = (f" These wheels are for {' and '.join(kit.splitlines())}; this is "
                f"{system} {platform.machine()}, Python {THIS}.")  # fmt: skip
        stop("The packages could not be installed; pip's own message is above."
             + (fits if kit else " Is there a network, and room on the disk?"))  # fmt: skip
    site = sysconfig.get_path("purelib", "venv", {"base": str(VENV)})
    # Relative, because an absolute path could hold letters that Python decodes differently.
    Path(site, "gpt-ladder.pth").write_text(os.path.relpath(str(HERE), site) + "\n")
    if not run(PYTHON, "-c", "import jupyterlab, torch, lessons.corpus"):
        stop("The packages are there but do not start; Python's own message is above, and "
             "START.html lists the usual reasons.")  # fmt: skip
    READY.touch()


def open_lab():
    """JupyterLab on the notebooks, until Ctrl-C."""
    # Jupyter refuses to start for root, as in a container, unless it is told to.
    root = ["--allow-root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    command = [PYTHON, "-m", "jupyterlab", "notebooks", "--ServerApp.answer_yes=True"]
    signal.signal(signal.SIGINT, lambda *_: None)  # JupyterLab receives it too
    sys.exit(subprocess.run(command + root, cwd=HERE).returncode)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--no-lab", action="store_true", help="set up, but do not open JupyterLab")
    parser.add_argument("--online", action="store_true", help="ignore wheels/")
    args = parser.parse_args()
    try:
        described = WHEELS / "kit.txt"
        known = described.exists() and not args.online
        kit = described.read_text("utf-8", "replace") if known else ""
        check_python(kit)
        if READY.exists() and PYTHON.exists():
            print("Everything is set up.")
        else:
            set_up(kit)
    except OSError as error:
        stop(f"{error.filename or HERE} cannot be read or written ({error.strerror}).")
    except KeyboardInterrupt:
        stop("Stopped; the same command starts it again.")
    if not args.no_lab:
        open_lab()


if __name__ == "__main__":
    main()
