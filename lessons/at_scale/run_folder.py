"""Plumbing · the folder of a run: what it holds, and how a run begins, is saved and is resumed.

losses.json describes the run, tokens.bin and tokens.json hold its text, losses.csv its losses,
last.pt, previous.pt and best.pt its checkpoints.
"""

import itertools
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

from lessons.at_scale.checkpoints import (
    RESUME_ORDER,
    Checkpoint,
    described,
    find_checkpoint,
    save_checkpoint,
)
from lessons.at_scale.description import RunDescription, read_description
from lessons.at_scale.distributed import micro_batch_size, rank
from lessons.at_scale.state import TrainingState
from lessons.at_scale.token_file import Tokens, check_tokens, described_tokens
from lessons.at_scale.token_writing import write_tokens
from lessons.errors import BadInput, first_line
from lessons.evaluation import COLUMNS
from lessons.files import link, write_csv, write_json
from lessons.presets import TrainingConfig, find_preset

from filelock import FileLock, Timeout

FILES = ("last.pt", "previous.pt", "best.pt", "losses.csv", "losses.json", "tokens.bin",
         "tokens.json")  # fmt: skip
Check = Callable[[RunDescription], object]  # raises BadInput for a run that cannot be


@contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """No other process may train in `folder` during this block; raises BadInput if one does."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / ".lock", timeout=0)
        lock.acquire()
        for name in FILES:  # left behind by a process that was killed while writing
            for leftover in folder.glob(f".{name}.*.tmp"):
                leftover.unlink()
    except Timeout:
        raise BadInput(
            f"Another process is training in {folder}: wait for its end, or name another --out."
        ) from None
    except (OSError, NotImplementedError) as error:  # the second from a disk without locks
        reason = getattr(error, "strerror", None) or "its file system has no locks"
        raise BadInput(f"{folder} cannot be written ({reason}): name another --out.") from None
    try:
        yield
    finally:
        lock.release()


def read_run(folder: Path) -> RunDescription | None:
    """The run in `folder`, from losses.json or else from a checkpoint; None if there is none.

    Raises BadInput for files that are not those of a run.
    """
    try:
        return read_description(folder)
    except BadInput:  # a checkpoint knows it too
        checkpoint = find_checkpoint(folder)
        if checkpoint is not None:
            return described(checkpoint)
        if (folder / "losses.json").exists():
            raise
        return None


def begin(
    folder: Path, name: str, seed: int, changes: dict, text: Path | None, check: Check
) -> RunDescription:
    """A new run of this preset; writes its tokens, once `check` has not refused it.

    `changes` replace settings of the preset. Raises BadInput for settings that do not work, and
    for files that are not ours to replace.
    """
    # A run that was killed before its description was written leaves tokens, and nothing else.
    ours = ("tokens.bin", "tokens.json") if described_tokens(folder) else ()
    foreign = [name for name in FILES if name not in ours and os.path.lexists(folder / name)]
    if foreign:
        raise BadInput(f"{folder} holds a {foreign[0]} that is no run's: name another --out.")
    preset = find_preset(name)
    training = replace(preset.training, **changes)
    micro_batch_size(training)

    def run_on(tokens: Tokens) -> RunDescription:
        shape = replace(preset.shape, vocab_size=len(tokens.vocabulary))
        return RunDescription(name, shape, training, seed, tokens.text_sha256, tokens.vocabulary)

    block_size = preset.shape.block_size
    return run_on(write_tokens(text, folder, block_size, check=lambda it: check(run_on(it))))


def resume(
    folder: Path, run: RunDescription, name: str | None, seed: int | None, changes: dict,
    text: Path | None, check: Check,
) -> tuple[RunDescription, Checkpoint | None]:  # fmt: skip
    """The run with its new settings, and its checkpoint, if it has one; files change at the end.

    Raises BadInput for a preset or seed that is not the run's, and for settings that do not work,
    and what `check` refuses.
    """
    for flag, now, then in (("--preset", name, run.preset), ("--seed", seed, run.seed)):
        if now not in (None, then):
            raise BadInput(
                f"{flag} {now} contradicts the run in {folder}, which has {then}: leave it out, "
                "or start another run with another --out."
            )
    training = TrainingConfig(**asdict(run.training) | changes)
    micro_batch_size(training)
    resumed = replace(run, training=training)
    check(resumed)
    checkpoint = find_checkpoint(folder, run)
    if checkpoint is not None and (step := checkpoint.contents["step"]) > training.max_iters:
        raise BadInput(f"The run is at step {step} already: --max-iters cannot be below that.")
    if text is not None:
        write_tokens(text, folder, run.shape.block_size, run)
    else:
        check_tokens(folder, run)
    if checkpoint is not None and checkpoint.path.name != "last.pt":
        # What was passed over would be replaced by and by, and may be good: another run's.
        for name in RESUME_ORDER[: RESUME_ORDER.index(checkpoint.path.name)]:
            set_aside(folder / name)
        link(checkpoint.path, folder / "last.pt")
        checkpoint = replace(checkpoint, path=folder / "last.pt")
    try:
        read_description(folder)
    except BadInput as problem:
        if os.path.lexists(folder / "losses.json"):
            what, _, _ = str(problem).rpartition(": ")  # without what to do about it
            print(f"{what}, so its checkpoint describes the run.", file=sys.stderr)
        set_aside(folder / "losses.json")
    return resumed, checkpoint


def set_aside(path: Path) -> None:
    """Rename a file, if it is there, so that nothing replaces it; stderr says what it is now."""
    if not os.path.lexists(path):
        return
    names = (path.with_name(f"{path.stem}.unused{n or ''}{path.suffix}") for n in itertools.count())
    kept = next(name for name in names if not os.path.lexists(name))
    os.rename(path, kept)
    print(f"{path} is kept as {kept.name}.", file=sys.stderr)


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Turn an error of writing in this block, such as a full disk's, into a BadInput."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        # torch.save hides the system's own error behind one of its own.
        causes = (error, error.__cause__, error.__context__)
        reasons = (getattr(cause, "strerror", None) for cause in causes)
        reason = next(filter(None, reasons), None) or first_line(error)
        raise BadInput(
            f"{folder} cannot be written ({reason}): free some space, then continue from the last "
            "good checkpoint with --resume."
        ) from None


def describe(folder: Path, run: RunDescription, seconds: float | None = None) -> None:
    """Write losses.json; once the run has ended, with the seconds that it took."""
    totals = {} if seconds is None else {"totals": {"seconds": round(seconds, 1)}}
    with writing(folder):
        write_json(folder / "losses.json", run.to_json() | totals)


def save(folder: Path | None, state: TrainingState, run: RunDescription | None) -> None:
    """Rank 0 writes a checkpoint and losses.csv, if there is a folder; all must call this."""
    checkpoint = state.state_dict() | {"about": run and run.to_json()}
    if folder and rank() == 0:
        step, _, val_loss, _ = state.rows[-1]
        is_best = step == state.step and val_loss == min(row[2] for row in state.rows)
        with writing(folder):
            # The CSV first: after a kill between the two, its last row is measured again.
            write_csv(folder / "losses.csv", state.losses().assign(seed=state.seed)[COLUMNS])
            save_checkpoint(folder, checkpoint, is_best)
