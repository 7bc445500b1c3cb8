"""Wheels for another computer: all that a list of packages needs there, for use without a network.

pip download would evaluate markers (`; sys_platform == "win32"`) for the computer that it runs
on, and so leave out what only the other one needs. Here pip fetches wheels without dependencies,
and the markers of these are evaluated for the other computer.
"""

import importlib.metadata
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from lessons.errors import BadInput

from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename

# pip takes a manylinux tag literally, so every older one must be named too. glibc 2.28 and
# macOS 14 are what torch asks for.
MANYLINUX = [f"manylinux_2_{minor}_x86_64" for minor in range(28, 4, -1)]
MANYLINUX += [f"manylinux{year}_x86_64" for year in (2014, 2010, 1)]
SEEN = ("platform_system", "platform_machine", "sys_platform", "os_name")
THIS = "this"  # the platform of the computer that this runs on
# The tags of a platform's wheels, and what markers see there.
PLATFORMS = {
    THIS: ([], [default_environment()[name] for name in SEEN]),
    "linux-x86_64": (MANYLINUX, ["Linux", "x86_64", "linux", "posix"]),
    "macos-arm64": (["macosx_14_0_arm64"], ["Darwin", "arm64", "darwin", "posix"]),
    "windows-x86_64": (["win_amd64"], ["Windows", "AMD64", "win32", "nt"]),
}


def described(platform: str, python: str) -> str:
    """One line that says which computer the wheels are for."""
    system, machine, *_ = PLATFORMS[platform][1]
    return f"{system.replace('Darwin', 'macOS')} {machine}, Python {python}"


def environment(platform: str, python: str) -> dict[str, str]:
    """What markers see on this platform, with this Python."""
    there = dict(zip(SEEN, PLATFORMS[platform][1], strict=True))
    full = ".".join([*python.split("."), "0"][:3])
    version = {"python_version": full.rpartition(".")[0], "python_full_version": full}
    return default_environment() | there | version


def needed(lines: Iterable[str], extras: set[str], seen: dict[str, str]) -> set[Requirement]:
    """The requirements that apply where markers see `seen`, without their markers."""
    found = set()
    for requirement in map(Requirement, lines):
        marker, requirement.marker = requirement.marker, None
        if not marker or any(marker.evaluate(seen | {"extra": extra}) for extra in ("", *extras)):
            found.add(requirement)
    return found


def pip_download(
    folder: Path, requirements: list[Requirement], constraints: Path, platform: str, python: str
) -> None:
    """Download these packages' wheels into `folder`, without their dependencies."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    command += ["--no-deps", "--only-binary=:all:", "--python-version", python]
    command += [f"--platform={tag}" for tag in PLATFORMS[platform][0]]
    command += ["--constraint", constraints, "--dest", folder, *sorted(map(str, requirements))]
    if subprocess.run(command).returncode:
        raise BadInput(
            f"pip could not fetch the wheels for {described(platform, python)}; what it says is "
            "above: is there a network, and do the packages exist for that Python? Some ask for "
            "3.11.5, say, and 3.11 alone counts as 3.11.0."
        )


def fetch_wheels(
    folder: Path, requirements: list[str], constraints: Path, platform: str, python: str
) -> None:
    """Put into `folder` the wheels of these packages and of all that they need, and kit.txt.

    `python` is a version, such as 3.12 or 3.12.4. Raises BadInput if pip cannot fetch a wheel,
    or if one that `constraints` does not pin turns out not to fit another.
    """
    seen, fetched = environment(platform, python), folder / "fetched"
    wheels: dict[str, Path] = {}
    followed: set[Requirement] = set()
    wanted = needed(requirements, set(), seen)
    while wanted:
        if new := [r for r in wanted if canonicalize_name(r.name) not in wheels]:
            pip_download(fetched, new, constraints, platform, python)
        wheels = {parse_wheel_filename(path.name)[0]: path for path in fetched.glob("*.whl")}
        followed |= wanted
        for requirement in frozenset(wanted):
            wheel = wheels[canonicalize_name(requirement.name)]
            name, version, *_ = parse_wheel_filename(wheel.name)
            if not requirement.specifier.contains(version, prereleases=True):
                raise BadInput(
                    f"{name} {version} does not fit {requirement}: pin it in {constraints.name}."
                )
            (distribution,) = importlib.metadata.distributions(path=[str(wheel)])
            wanted |= needed(distribution.requires or [], requirement.extras, seen)
        wanted -= followed
    for wheel in wheels.values():
        os.replace(wheel, folder / wheel.name)
    fetched.rmdir()
    with open(folder / "kit.txt", "a", encoding="utf-8", newline="\n") as file:
        file.write(described(platform, python) + "\n")
