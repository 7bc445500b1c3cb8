"""What was measured on a GPU, in Markdown: rung 8 scaled up, and ways to take its steps."""

from pathlib import Path

import pandas as pd

from gpu_speed import read_speed
from lessons.corpus import DATA_DIR
from lessons.ladder import SCALED_UP
from lessons.losses import final_losses, read_csv

TARGET = 1.48  # the validation loss to which the time is told
SPEED_HEAD = """\
| a training step | products in | tokens per second | of the GPU's peak | memory |
|---|---|--:|--:|--:|"""


def losses_path(folder: Path) -> Path:
    """Where the rung's losses stand, if they were measured."""
    return folder / "losses" / f"{SCALED_UP.stem}.csv"


def losses_sentence(losses: pd.DataFrame) -> str:
    """How the seeds of the scaled-up rung went, their evaluations counted in."""
    best, last = losses.loc[losses.groupby("seed").val_loss.idxmin()], final_losses(losses)
    reached = losses[losses.val_loss <= TARGET].groupby("seed").seconds.min()
    spread = f" ± {best.val_loss.std():.3f}" if len(best) > 1 else ""
    when = f"after {reached.median():.0f} s" if len(reached) else "by none"
    if 0 < len(reached) < len(best):
        when += f", by {len(reached)} of them"
    return (
        f"Scaled up for a GPU, {len(best)} seed{'s' if len(best) > 1 else ''}: lowest validation "
        f"loss {best.val_loss.mean():.3f}{spread}, at step {best.step.median():,.0f}; at the end, "
        f"step {last.step.max():,}, {last.val_loss.mean():.3f}. {TARGET} was reached {when}; a "
        f"whole run takes {last.seconds.median():.0f} s. (Steps and seconds: the median seed.)"
    )


def speed_table(speed: pd.DataFrame) -> str:
    """One row per way; each does what the one before does, and one thing more."""
    lines = [SPEED_HEAD]
    for number, row in enumerate(speed.itertuples()):
        share = "?" if pd.isna(row.mfu) else f"{row.mfu:.0%}"
        memory = "?" if pd.isna(row.peak_memory_gb) else f"{row.peak_memory_gb:.1f} GB"
        lines.append(
            f"| {'+ ' if number else ''}{row.way} | {row.dtype} | {row.tokens_per_second:,} "
            f"| {share} | {memory} |"
        )
    machines = " and ".join((speed.device + ", torch " + speed.torch).unique())
    return "\n".join(lines) + (
        f"\n\nMeasured on {machines}. Each row does one thing more than the one above it. Of the "
        "GPU's peak: model FLOPs utilisation, against its data sheet's figure for half precision."
    )


def gpu_report(folder: Path = DATA_DIR) -> str:
    """What stands in `folder`, from its CSVs alone; a sentence if nothing was measured."""
    path, speed = losses_path(folder), read_speed(folder)
    parts = [losses_sentence(read_csv(path))] if path.exists() else []
    if len(speed):
        parts.append(speed_table(speed))
    return "\n\n".join(parts) or (
        "Scaled up for a GPU it has no row above, because no GPU was at hand: `make gpu` measures "
        "it on a CUDA machine in nine minutes."
    )
