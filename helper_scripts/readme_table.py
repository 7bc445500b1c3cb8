"""Write what the README tells of data/ (--write), or see if it is fresh (--check)."""

import json
from pathlib import Path

from gpu_report import gpu_report
from lessons.errors import BadInput, exits_cleanly
from lessons.ladder import LADDER, SCALED_UP, summary
from lessons.losses import LOSSES_DIR, read_losses
from markers import README, refresh, replace_between, write_or_check

PUBLISHED_SOURCE = (
    "validation losses reported elsewhere for the same rungs, as they were handed to this "
    "project; their first source is not on record"
)
HEAD = """\
| rung | lesson | idea | parameters | final validation loss | published | seconds |
|---|--:|---|--:|--:|--:|--:|"""


def ladder_table(folder: Path = LOSSES_DIR) -> str:
    """The table in Markdown, from the loss files alone; a rung without files has no row."""
    table = summary(read_losses(folder))
    lines, measured = [HEAD], {}
    for rung in LADDER:
        if rung.stem not in table.index:
            continue
        row = table.loc[rung.stem]
        path = folder / f"{rung.stem}.json"
        if not path.exists():
            raise BadInput(f"{path} is missing, which says how {rung.stem}.csv was measured.")
        about = json.loads(path.read_text())
        spread = "" if row.seeds == 1 else f" ± {row.sd:.3f}"
        way = (
            f"in {about['dtype']}"  # on a GPU
            if "dtype" in about
            else f"{about['seeds_side_by_side']} side by side with {about['threads_per_seed']} "
            "thread each,"
        )
        seeds = "one seed" if row.seeds == 1 else f"{row.seeds:.0f} seeds"
        how = f"{seeds}, {way} on an {about['device']}, torch {about['torch']}"
        measured.setdefault(how, []).append(rung.title)
        lines.append(
            f"| {rung.number} · {rung.title} | {rung.lesson} | {rung.idea} "
            f"| {about['parameters']:,} | {row.val_loss:.3f}{spread} "
            f"| {rung.published:.2f} | {row.seconds:.0f} |"
        )
    # Most rungs were measured alike; the others are named.
    usual = max(measured, key=lambda how: len(measured[how]))
    others = [f"; {', '.join(titles)}: {how}" for how, titles in measured.items() if how != usual]
    note = (
        "\n\nLosses in nats per character, on the whole validation split: mean ± sd over seeds. "
        f"Seconds: the median seed. Measured with {usual}{''.join(others)}. "
        f"Published: {PUBLISHED_SOURCE}."
    )
    if SCALED_UP.stem in table.index:
        note += " For scaled up it is the lowest of a run, by nanoGPT's README, and so is ours."
    return "\n".join(lines) + note


def refreshed(page: str) -> str:
    """The page with its parts written anew."""
    page = replace_between(page, "ladder table", ladder_table())
    return replace_between(page, "gpu", gpu_report())


@exits_cleanly
def main() -> None:
    args = write_or_check(__doc__).parse_args()
    old = README.read_text(encoding="utf-8")
    refresh(README, old, refreshed(old), args.write, "`make figures`")


if __name__ == "__main__":
    main()
