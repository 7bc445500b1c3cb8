"""Lesson 8 · checkpoints: a run that is killed at any moment goes on as if it never was.

last.pt is the newest, previous.pt the one before it, best.pt the one of the lowest
validation loss. Each holds all there is to know: weights, optimiser, step, random states,
shape, settings and vocabulary.
"""

import os
import pickle
import shutil
import sys
import zipfile
from pathlib import Path

import torch

from lessons.corpus import whole_file
from lessons.errors import BadInput

KEYS = {"step", "rows", "model", "optimizer", "scaler", "batch_rng", "rng", "about"}


def save_checkpoint(folder: Path, checkpoint: dict, is_best: bool) -> None:
    """Write `checkpoint` as last.pt, and as best.pt too if it is; the old last.pt is kept.

    A kill at any moment leaves a good last.pt. Raises BadInput if the checkpoint cannot be
    written, as on a full disk; what was there before is then still there.
    """
    last, best = folder / "last.pt", folder / "best.pt"
    try:
        if last.exists():
            _link(last, folder / "previous.pt")
        with whole_file(best if is_best else last) as file:
            torch.save(checkpoint, file)
        if is_best:
            _link(best, last)
    except (OSError, RuntimeError) as error:  # torch.save hides the one in the other
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
        raise BadInput(
            f"The checkpoint of step {checkpoint['step']} cannot be written to {folder} "
            f"({reason}): make room, then go on from the last good one with --resume."
        ) from None


def find_checkpoint(folder: Path) -> Path | None:
    """The newest good checkpoint in `folder`; a damaged one is named on stderr and passed over.

    None if there is none at all; raises BadInput if all of them are damaged.
    """
    paths = [folder / name for name in ("last.pt", "previous.pt", "best.pt")]
    present = [path for path in paths if path.exists()]
    for path in present:
        try:
            step = read_checkpoint(path)["step"]
        except BadInput as error:
            print(error, file=sys.stderr)
            continue
        if path != present[0]:
            print(f"Using {path}, from step {step}.", file=sys.stderr)
        return path
    if present:
        raise BadInput(f"{folder} has no good checkpoint left: begin again with another --out.")
    return None


def read_checkpoint(path: Path) -> dict:
    """One file; no code in it is run. Raises BadInput if it is damaged or no checkpoint of ours."""
    try:
        with zipfile.ZipFile(path) as file:
            damaged = file.testzip()  # torch.load itself does not compare checksums
        checkpoint = None if damaged else torch.load(path, map_location="cpu", weights_only=True)
    except (zipfile.BadZipFile, EOFError):
        raise BadInput(f"{path} is cut off, or is no checkpoint: it cannot be used.") from None
    except pickle.UnpicklingError:
        raise BadInput(f"{path} holds more than tensors and plain values: not loaded.") from None
    except (OSError, RuntimeError) as error:
        raise BadInput(f"{path} cannot be read ({type(error).__name__}).") from None
    if damaged:
        raise BadInput(f"{path} is damaged (a checksum is wrong): it cannot be used.")
    if not isinstance(checkpoint, dict) or not checkpoint.keys() >= KEYS:
        raise BadInput(f"{path} is not a checkpoint of this course: it cannot be used.")
    return checkpoint


def _link(source: Path, target: Path) -> None:
    """A second name for the same file; a copy where the file system knows no second names."""
    temporary = target.with_name(target.name + ".tmp")
    temporary.unlink(missing_ok=True)
    try:
        os.link(source, temporary)
    except OSError:
        shutil.copyfile(source, temporary)
    os.replace(temporary, target)
