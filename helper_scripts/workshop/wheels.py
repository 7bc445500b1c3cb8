"""Wheels for another computer: all that a list of packages needs there, for use without a network.

pip download would follow the markers (`; sys_platform == "win32"`) of the computer that it runs
on, and so leave out what only the other one needs. Here pip fetches the wheels, one by one, and
their lists of needs are read with the other computer's markers.
"""

import importlib.metadata
import os
import re
import subprocess
import sys
from pathlib import Path

from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename

from lessons.errors import BadInput

# pip takes a manylinux tag to the letter, so every older one must be named too. glibc 2.28 and
# macOS 14 are what torch asks for.
MANYLINUX = [f"manylinux_2_{minor}_x86_64" for minor in range(28, 4, -1)]
MANYLINUX += [f"manylinux{year}_x86_64" for year in (2014, 2010, 1)]
# The tags of a platform's wheels, and what markers see there.
PLATFORMS = {
    "linux-x86_64": (MANYLINUX, ("Linux", "x86_64", "linux", "posix")),
    "macos-arm64": (["macosx_14_0_arm64"], ("Darwin", "arm64", "darwin", "posix")),
    "windows-x86_64": (["win_amd64"], ("Windows", "AMD64", "win32", "nt")),
}
SEEN = ("platform_system", "platform_machine", "sys_platform", "os_name")
THIS = "this"  # the platform of the computer that this runs on


def environment(platform: str, python: str) -> dict[str, str]:
    """What markers see on this platform, with this Python."""
    there = {} if platform == THIS else dict(zip(SEEN, PLATFORMS[platform][1], strict=True))
    minor, patch = re.fullmatch(r"(3\.\d+)(\.\d+)?", python).groups()
    version = {"python_version": minor, "python_full_version": minor + (patch or ".0")}
    return default_environment() | there | version


def described(platform: str, python: str) -> str:
    """One line that says whom the wheels are for."""
    seen = environment(platform, python)
    system = seen["platform_system"].replace("Darwin", "macOS")
    return f"{system} {seen['platform_machine']}, Python {python}"


def pip_download(
    folder: Path, requirements: list[Requirement], constraints: Path, platform: str, python: str
) -> None:
    """These packages' wheels into `folder`, without what they need."""
    tags = [] if platform == THIS else PLATFORMS[platform][0]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    command += ["--no-deps", "--only-binary=:all:", "--python-version", python]
    command += [f"--platform={tag}" for tag in tags]
    command += ["--constraint", constraints, "--dest", folder, *map(str, requirements)]
    if subprocess.run(command).returncode:
        raise BadInput(
            f"pip could not fetch the wheels for {described(platform, python)}; its own words are "
            "above: is there a network, and do the packages exist for that Python? Some ask for "
            "3.11.5, say, and 3.11 alone counts as 3.11.0."
        )


def needs(wheel: Path, extras: set[str], seen: dict[str, str]) -> list[Requirement]:
    """What this wheel needs where markers see `seen`."""
    (distribution,) = importlib.metadata.distributions(path=[str(wheel)])
    listed = [Requirement(line) for line in distribution.requires or []]
    return [
        requirement
        for requirement in listed
        if not requirement.marker
        or any(requirement.marker.evaluate(seen | {"extra": extra}) for extra in extras)
    ]


def fetch_wheels(
    folder: Path, requirements: list[str], constraints: Path, platform: str, python: str
) -> None:
    """Put into `folder` the wheels of these packages and of all that they need, and kit.txt.

    `python` is a version, such as 3.12 or 3.12.4. Raises BadInput if pip cannot fetch a wheel,
    or if one that `constraints` does not pin turns out not to fit another.
    """
    seen, followed = environment(platform, python), set()
    fetched = folder / "fetched"
    wheels: dict[str, Path] = {}
    wanted = [Requirement(line) for line in requirements]
    while wanted:
        new = [r for r in wanted if canonicalize_name(r.name) not in wheels]
        if new:
            for requirement in new:
                requirement.marker = None
            pip_download(fetched, new, constraints, platform, python)
        wheels = {parse_wheel_filename(path.name)[0]: path for path in fetched.glob("*.whl")}
        following = []
        for requirement in wanted:
            name, extras = canonicalize_name(requirement.name), {"", *requirement.extras}
            version = parse_wheel_filename(wheels[name].name)[1]
            if not requirement.specifier.contains(version, prereleases=True):
                raise BadInput(
                    f"{name} {version} does not fit {requirement}: pin it in {constraints.name}."
                )
            if (name, *sorted(extras)) not in followed:
                followed.add((name, *sorted(extras)))
                following += needs(wheels[name], extras, seen)
        wanted = following
    for wheel in wheels.values():
        os.replace(wheel, folder / wheel.name)
    fetched.rmdir()
    with open(folder / "kit.txt", "a", encoding="utf-8", newline="\n") as file:
        file.write(described(platform, python) + "\n")
