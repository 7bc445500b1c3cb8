"""What was measured on a GPU, in Markdown: rung 8 scaled up, and ways to take its steps."""

from pathlib import Path

import pandas as pd

from gpu_speed import read_speed
from lessons.corpus import DATA_DIR
from lessons.ladder import SCALED_UP
from lessons.losses import final_losses, lowest_losses, read_csv

TARGET = 1.48  # the validation loss to which the time is told
SPEED_HEAD = """\
| a training step | products in | tokens per second | of the GPU's peak | memory |
|---|---|--:|--:|--:|"""


def losses_sentence(losses: pd.DataFrame) -> str:
    """How the seeds of the scaled-up rung went; the seconds are those of the median seed."""
    lowest, last = lowest_losses(losses), final_losses(losses)
    n_seeds = len(last)
    seeds = f"{n_seeds} seeds" if n_seeds > 1 else "one seed"
    spread = f" ± {lowest.val_loss.std(skipna=False):.3f}" if n_seeds > 1 else ""
    reached = losses[losses.val_loss <= TARGET].groupby("seed").seconds.min()
    when = f"after {reached.median():.0f} s" if len(reached) else "by none"
    if 0 < len(reached) < n_seeds:
        when += f", by {len(reached)} of them"
    return (
        f"Scaled up for a GPU, {seeds}: lowest validation loss "
        f"{lowest.val_loss.mean(skipna=False):.3f}{spread}, at step {lowest.step.median():,.0f}; "
        f"at the end, step {last.step.max():,}, {last.val_loss.mean(skipna=False):.3f}. {TARGET} "
        f"was reached {when}; a whole run takes {last.seconds.median():.0f} s, its evaluations "
        "counted in."
    )


def speed_table(speed: pd.DataFrame) -> str:
    """One row per way; each does what those above it do, and one thing more."""
    lines = [SPEED_HEAD]
    for row in speed.itertuples():
        share = "?" if pd.isna(row.mfu) else f"{row.mfu:.0%}"
        memory = "?" if pd.isna(row.peak_memory_gb) else f"{row.peak_memory_gb:.1f} GB"
        lines.append(
            f"| {'' if row.Index == 0 else '+ '}{row.way} | {row.dtype} "
            f"| {row.tokens_per_second:,} | {share} | {memory} |"
        )
    machines = " and ".join((speed.device + ", torch " + speed.torch).unique())
    return "\n".join(lines) + (
        f"\n\nMeasured on {machines}; from top to bottom one thing is added to the others. Of the "
        "GPU's peak: model FLOPs utilisation, against its data sheet's figure for half precision."
    )


def gpu_report(folder: Path = DATA_DIR) -> str:
    """What stands in `folder`, from its CSVs alone; a sentence for what was not measured."""
    path, speed = folder / "losses" / f"{SCALED_UP.stem}.csv", read_speed(folder)
    losses = (
        losses_sentence(read_csv(path))
        if path.exists()
        else "Scaled up for a GPU it has no row above, because no GPU was at hand."
    )
    return f"{losses}\n\n{speed_table(speed)}" if len(speed) else losses
