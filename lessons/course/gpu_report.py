"""Plumbing · what was measured on a GPU, in Markdown: rung 8 scaled up, and its speed."""

from pathlib import Path

from lessons.about import About, read_about
from lessons.corpus import DATA_DIR
from lessons.course.markers import markdown
from lessons.evaluation import COLUMNS
from lessons.files import read_csv
from lessons.ladder import SCALED_UP
from lessons.results import final_losses, lowest_losses

import pandas as pd

SPEED_COLUMNS = ["way", "dtype", "tokens_per_second", "mfu", "peak_memory_gb"]
TARGET = 1.48  # the validation loss whose time is reported


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
        f"was reached {when}; a whole run takes {last.seconds.median():.0f} s, evaluations "
        "included."
    )


def speed_table(speed: pd.DataFrame, about: About) -> str:
    """One row per way; each adds one thing to the way above it."""
    shown = pd.DataFrame({
        "a training step": ["" if n == 0 else "+ " for n in range(len(speed))] + speed.way,
        "products in": speed.dtype,
        "tokens per second": speed.tokens_per_second.map("{:,.0f}".format),
        "of the GPU's peak": speed.mfu.map(lambda share: "?" if pd.isna(share) else f"{share:.0%}"),
        "memory": speed.peak_memory_gb.map(lambda gb: "?" if pd.isna(gb) else f"{gb:.1f} GB"),
    })  # fmt: skip
    table = markdown(shown, words=["a training step", "products in"])
    return (
        f"{table}\n\nMeasured on {about.device}, torch {about.torch}; each row adds "
        "one thing to the row above it. Of the GPU's peak: model FLOPs utilisation, against its "
        "data sheet's figure for half precision."
    )


def gpu_report(folder: Path = DATA_DIR) -> str:
    """The report on the files in `folder`, or a sentence that says that nothing was measured."""
    parts = ["Scaled up for a GPU, it has no row above, because no GPU was at hand."]
    path = folder / "losses" / f"{SCALED_UP.stem}.csv"
    if path.exists():
        parts = [losses_sentence(read_csv(path, COLUMNS))]
    path = folder / "experiments" / "gpu_speed.csv"
    if path.exists():
        about = read_about(path.with_suffix(".json"), "device", "torch")
        parts.append(speed_table(read_csv(path, SPEED_COLUMNS), about))
    return "\n\n".join(parts)
