"""Plumbing · the check of lesson 10's third exercise, a part of the reader's own."""

from lessons.checks.bands import recorded
from lessons.checks.on_record import seeds_of
from lessons.checks.plausible import not_negative, on_tiny_shakespeare, told_apart, vocabulary
from lessons.checks.tables import read_rows
from lessons.checks.verdict import check

RATES = (0.002, 0.004, 0.008)


@check
def part_experiment(answer, text):
    """The table of a GPT without and with a part of one's own: part, learning_rate, val_loss."""
    settings = {"part": 3 * ["none"] + 3 * ["mine"], "learning_rate": 2 * list(RATES)}
    rows = read_rows(answer, settings, ["val_loss"])
    not_negative(rows, "val_loss")
    told_apart(rows, "val_loss", "learning_rate")
    told_apart(rows, "val_loss", "part")
    without, best = rows.loc[["none"]], rows.val_loss.groupby("part", sort=False).min()
    bands = recorded(without, "part_experiment", text)
    found = f"At its best rate the GPT with your part is {best['none'] - best['mine']:+.3f} ahead."
    if not bands:
        return (
            f"All 6 rows are there, and no loss is impossible. {found} Not looked at: the losses "
            "of this text, for only those of Tiny Shakespeare are on record."
        )
    bands.keep()
    on_tiny_shakespeare(rows, "val_loss", vocabulary(text))
    seeds = seeds_of("part_experiment", rows[["val_loss"]])["val_loss"]  # (6, seeds)
    lead = seeds[:3].mean(axis=1).min() - seeds[3:].mean(axis=1).min()
    return (
        f"All 6 rows are there, and those without your part lie where {bands.source} do. {found} "
        f"The solution's part is {lead:+.3f} ahead, and seeds alone differ by "
        f"{seeds.std(axis=1, ddof=1).max():.3f} (sd): one run each says little below that. Not "
        "looked at: the code that made the table; rows that are alike may be exchanged; your part."
    )
