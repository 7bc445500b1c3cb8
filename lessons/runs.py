"""Plumbing · the folder of a run: what it is, and how it begins or goes on.

losses.json describes the run, tokens.bin and tokens.json hold its text, losses.csv its losses,
last.pt, previous.pt and best.pt its checkpoints.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

from filelock import FileLock, Timeout

from lessons.checkpoints import find_checkpoint, link, read_checkpoint
from lessons.errors import BadInput
from lessons.gpt import GPTConfig
from lessons.presets import find_preset
from lessons.scaling import micro_batch_size
from lessons.tokens import described_tokens, write_tokens
from lessons.training_config import TrainingConfig

FILES = ("last.pt", "previous.pt", "best.pt", "losses.csv", "losses.json", "tokens.bin",
         "tokens.json")  # fmt: skip


@contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """No other process may train in `folder` during this block; raises BadInput if one does."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / ".lock", timeout=0)
        lock.acquire()
        for name in FILES:  # what a process left behind that was killed while it wrote
            for leftover in folder.glob(f".{name}.*.tmp"):
                leftover.unlink()
    except Timeout:
        raise BadInput(f"Another process is training in {folder}: name another --out.") from None
    except OSError as error:
        raise BadInput(
            f"{folder} cannot be written ({error.strerror}): name another --out."
        ) from None
    try:
        yield
    finally:
        lock.release()


def read_about(folder: Path) -> dict:
    """What losses.json tells about the run in `folder`, or else its checkpoint; {} without a run.

    Raises BadInput for files that are no run's.
    """
    path = folder / "losses.json"
    try:
        about = json.loads(path.read_text())
        GPTConfig(**about["shape"]), TrainingConfig(**about["hyperparameters"])
        if about.keys() >= {"preset", "seeds", "vocabulary", "text_sha256"}:
            return about
    except (OSError, ValueError, TypeError, KeyError):
        pass
    checkpoint = find_checkpoint(folder)
    if checkpoint is not None:
        return read_checkpoint(checkpoint)["about"]
    if path.exists():
        raise BadInput(f"{path} does not describe a run of this script: name another --out.")
    return {}


def begin(folder: Path, name: str, seed: int, changes: dict, text: Path | None) -> dict:
    """What losses.json is to tell about a new run of this preset; writes its tokens.

    `changes` replace settings of the preset. Raises BadInput for what cannot be.
    """
    preset = find_preset(name)
    training = replace(preset.training, **changes)
    micro_batch_size(training)
    tokens = write_tokens(text, folder, preset.shape.block_size)
    shape = replace(preset.shape, vocab_size=len(tokens["vocabulary"]))
    return {
        "preset": name,
        "shape": asdict(shape),
        "hyperparameters": asdict(training),
        "seeds": [seed],
        "text_sha256": tokens["text_sha256"],
        "vocabulary": tokens["vocabulary"],
    }


def go_on(
    folder: Path, about: dict, name: str | None, seed: int | None, changes: dict, text: Path | None
) -> tuple[dict, Path | None]:
    """What losses.json is to tell about a run that goes on, and its checkpoint, if it has one.

    `about` is what losses.json tells so far. Raises BadInput for a preset or seed that is not the
    run's, and for what cannot be.
    """
    for flag, now, then in (
        ("--preset", name, about["preset"]),
        ("--seed", seed, about["seeds"][0]),
    ):
        if now not in (None, then):
            raise BadInput(
                f"{flag} {now} contradicts the run in {folder}, which has {then}: leave it out, "
                "or begin another run with another --out."
            )
    training = TrainingConfig(**about["hyperparameters"] | changes)
    micro_batch_size(training)
    path = find_checkpoint(folder, about)
    if path is not None:
        step = read_checkpoint(path)["step"]
        if step > training.max_iters:
            raise BadInput(f"The run is at step {step} already: --max-iters cannot be below that.")
        if path.name != "last.pt":
            link(path, folder / "last.pt")  # before a damaged one is kept as previous.pt
            path = folder / "last.pt"
    if text is not None:
        write_tokens(text, folder, about["shape"]["block_size"], about)
    elif described_tokens(folder).get("text_sha256") != about["text_sha256"]:
        raise BadInput(f"{folder} does not have the run's tokens: give its text again with --text.")
    return about | {"hyperparameters": asdict(training)}, path
