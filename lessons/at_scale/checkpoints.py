"""Plumbing · checkpoints: a run that is killed at any moment resumes as if it never had been.

last.pt is the newest, previous.pt the one before it, best.pt the one of the lowest
validation loss. Each holds all that a run needs: weights, optimiser, step, random states, shape,
settings and vocabulary.
"""

import pickle
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

from lessons.at_scale.contents import check_contents
from lessons.at_scale.description import RunDescription
from lessons.errors import BadInput, refused
from lessons.files import check_regular, link, whole_file

import torch

RESUME_ORDER = ("last.pt", "previous.pt", "best.pt")


def save_checkpoint(folder: Path, checkpoint: dict, is_best: bool) -> None:
    """Write `checkpoint` as last.pt, and as best.pt too if it is; the old last.pt is kept.

    A kill at any moment leaves a good last.pt, and so does an error, such as a full disk's.
    """
    last, best = folder / "last.pt", folder / "best.pt"
    if last.exists():
        link(last, folder / "previous.pt")
    with whole_file(best if is_best else last) as file:
        torch.save(checkpoint, file)
    if is_best:
        link(best, last)


@dataclass(frozen=True)
class Checkpoint:
    """A good checkpoint: its file, and what was read from it."""

    path: Path
    contents: dict

    def __reduce__(self) -> tuple:
        # To another process the path is sent, and it reads the file: there may be gigabytes in it.
        return open_checkpoint, (self.path,)


def open_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint with `read_checkpoint`."""
    return Checkpoint(path, read_checkpoint(path))


def find_checkpoint(
    folder: Path, run: RunDescription | None = None, names: tuple[str, ...] = RESUME_ORDER
) -> Checkpoint | None:
    """The first good checkpoint of these names; stderr says why a bad one is skipped.

    With `run`, which losses.json describes, a checkpoint of another run is bad too. None if there
    is no file at all; raises BadInput if there are only bad ones.
    """
    present = [folder / name for name in names if (folder / name).exists()]
    foreign = None
    for path in present:
        checkpoint = None  # a bad one is not kept while the next is read
        try:
            checkpoint = open_checkpoint(path)
            step = checkpoint.contents["step"]
            if run is not None:
                difference = run.difference(described(checkpoint))
                if difference:
                    foreign = foreign or f"{path}, at step {step} ({difference}"
                    raise BadInput(
                        f"{path} belongs to another run ({difference} differs): it cannot be used."
                    )
        except BadInput as error:
            print(error, file=sys.stderr)
            continue
        if path != present[0]:
            print(f"Using {path}, from step {step}.", file=sys.stderr)
        return checkpoint
    if foreign:  # it is good: losses.json may be the one that does not belong here
        raise BadInput(
            f"{folder / 'losses.json'} describes another run than {foreign} differs): move "
            "losses.json elsewhere, and --resume and samples use that checkpoint."
        )
    if present:
        raise BadInput(
            f"{folder} has no good checkpoint, for the reasons above: put a good copy there, or "
            "train another run with another --out."
        )
    return None


def read_checkpoint(path: Path) -> dict:
    """Load one file, and run no code in it; BadInput if it is damaged or not of this course."""
    check_regular(path)
    try:
        with zipfile.ZipFile(path) as file:
            # torch.save packs nothing: what unpacks to more than the file could fill the memory.
            if sum(entry.file_size for entry in file.infolist()) > path.stat().st_size:
                raise zipfile.BadZipFile
            damaged = file.testzip()  # torch.load itself does not compare checksums
        checkpoint = None if damaged else torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise refused(error) from None
    except zipfile.BadZipFile:
        raise BadInput(f"{path} is cut off, or is no checkpoint: it cannot be used.") from None
    except pickle.UnpicklingError:
        raise BadInput(f"{path} holds more than tensors and plain values: not loaded.") from None
    except Exception as error:  # damage shows in many ways
        raise BadInput(f"{path} cannot be read ({type(error).__name__}).") from None
    if damaged:
        raise BadInput(f"{path} is damaged (a checksum is wrong): it cannot be used.")
    try:
        check_contents(checkpoint)
    except BadInput as problem:
        raise BadInput(
            f"{path} is not a checkpoint of this course ({str(problem).rstrip('.')}): it cannot be "
            "used."
        ) from None
    return checkpoint


def described(checkpoint: Checkpoint) -> RunDescription:
    """The run that a checkpoint belongs to; raises BadInput, with its path, if it does not say."""
    try:
        return RunDescription.from_json(checkpoint.contents["about"])
    except BadInput as problem:
        raise BadInput(
            f"{checkpoint.path} does not describe a run of this script ({problem}): it cannot be "
            "used."
        ) from None
