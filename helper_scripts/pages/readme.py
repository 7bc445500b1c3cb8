"""Write the README's tables and figures (--write), or check that they are fresh (--check)."""

from pathlib import Path

from lessons.about import About, read_about
from lessons.course.address import ROOT, address, badge
from lessons.course.catalogue import read_lessons, solutions_of
from lessons.course.gpu_report import gpu_report
from lessons.course.markers import README, markdown, refresh, replace_between, write_or_check
from lessons.errors import BadInput, exits_cleanly
from lessons.files import read_csv, read_text
from lessons.ladder import LADDER, SCALED_UP
from lessons.records import EXPERIMENTS_DIR, LOSSES_DIR, read_losses
from lessons.results import summary

import pandas as pd

PUBLISHED_SOURCE = (
    "validation losses reported elsewhere for the same rungs, as they were handed to this "
    "project; their original source is not on record"
)

# What the table says of each rung.
NEEDED = ("parameters", "seeds_side_by_side", "threads_per_seed", "device", "torch")


def how_measured(about: About, n_seeds: int) -> str:
    """How the seeds of a rung were measured, from the JSON beside them."""
    seeds = "one seed" if n_seeds == 1 else f"{n_seeds} seeds"
    if about.dtype:  # on a GPU
        way = f"in {about.dtype}"
    else:
        threads = about.threads_per_seed
        way = f"{about.seeds_side_by_side} side by side with {threads} thread each,"
    return f"{seeds}, {way} on an {about.device}, torch {about.torch}"


def ladder_table(folder: Path = LOSSES_DIR) -> str:
    """The table in Markdown, from the loss files alone; a rung without files has no row."""
    table = summary(read_losses(folder))
    rows, measured = [], {}
    for rung in (rung for rung in LADDER if rung.stem in table.index):
        row, about = table.loc[rung.stem], read_about(folder / f"{rung.stem}.json", *NEEDED)
        measured.setdefault(how_measured(about, int(row.seeds)), []).append(rung.title)
        spread = "" if row.seeds == 1 else f" ± {row.sd:.3f}"
        rows.append({
            "rung": f"{rung.number} · {rung.title}",
            "lesson": str(rung.lesson),
            "idea": rung.idea,
            "parameters": f"{about.parameters:,}",
            "final validation loss": f"{row.val_loss:.3f}{spread}",
            "published": f"{rung.published:.2f}",
            "seconds": f"{row.seconds:.0f}",
        })  # fmt: skip
    # Most rungs were measured alike; the others are named.
    usual = max(measured, key=lambda how: len(measured[how]))
    others = [f"; {', '.join(titles)}: {how}" for how, titles in measured.items() if how != usual]
    note = (
        "\n\nLosses in nats per character, on the whole validation split: mean ± sd over seeds. "
        f"Seconds: the median seed. Measured with {usual}{''.join(others)}. "
        f"Published: {PUBLISHED_SOURCE}."
    )
    if SCALED_UP.stem in table.index:
        note += " For scaled up it is the lowest of a run, from nanoGPT's README, and so is ours."
    return markdown(pd.DataFrame(rows), words=["rung", "idea"]) + note


def lessons_table() -> str:
    """Every lesson with its badge and its solutions."""
    place, rows = address(), []
    for lesson in read_lessons(ROOT / "notebooks"):
        solutions = solutions_of(lesson.path).relative_to(ROOT).as_posix()
        rows.append({
            "lesson": f"[{lesson.heading}](notebooks/{lesson.path.name})",
            "in Colab": badge(place, lesson.path),
            "exercises solved": f"[solutions]({solutions})",
        })  # fmt: skip
    return markdown(pd.DataFrame(rows), words=list(rows[0]))


def busy_table(folder: Path = EXPERIMENTS_DIR) -> str:
    """Steps per second beside other programs, from busy.csv alone."""
    path, names = folder / "busy.csv", {"default": "PyTorch's default", "short spin": "ours"}
    rows = read_csv(path, ["way", "busy_loops", "steps_per_second"]).replace({"way": names})
    speed = rows.pivot_table("steps_per_second", "way", "busy_loops", aggfunc="median")
    ways, loops = [*names.values(), "one thread"], [0, 1, 2]
    if not {*ways} <= {*speed.index} or [*speed] != loops or speed.loc[ways].isna().any(axis=None):
        raise BadInput(f"{path} lacks ways beside 0, 1 or 2 busy programs: type `make busy`.")
    speed.columns = ["quiet", "beside one busy program", "beside two"]
    table = speed.loc[ways].map("{:.1f}".format).reset_index()
    about = read_about(path.with_suffix(".json"), "preset", "cores", "device")
    return (
        f"{markdown(table, words=['way'])}\n\nSteps per second of preset `{about.preset}`, the "
        f"median of {rows.seed.nunique()} runs, on {about.cores} cores of an {about.device}."
    )


def refreshed(page: str) -> str:
    """The page with its parts written anew."""
    page = replace_between(page, "lessons", lessons_table())
    page = replace_between(page, "ladder table", ladder_table())
    page = replace_between(page, "busy", busy_table())
    return replace_between(page, "gpu", gpu_report())


@exits_cleanly
def main() -> None:
    args = write_or_check(__doc__).parse_args()
    old = read_text(README)
    refresh(README, old, refreshed(old), args.write, "`make figures`")


if __name__ == "__main__":
    main()
