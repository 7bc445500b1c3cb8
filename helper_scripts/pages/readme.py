"""Write the README's tables and figures (--write), or check that they are fresh (--check)."""

import math
from pathlib import Path

from beyond import counting_table, parts_table, record_table
from lessons.about import About, read_about
from lessons.course.address import ROOT, address, badge
from lessons.course.catalogue import read_lessons, solutions_of
from lessons.course.gpu_report import gpu_report
from lessons.course.markers import README, markdown, refresh, replace_between, write_or_check
from lessons.errors import BadInput, exits_cleanly
from lessons.files import read_csv, read_text
from lessons.ladder import LADDER, SCALED_UP
from lessons.presets import PRESETS
from lessons.records import EXPERIMENTS_DIR, LOSSES_DIR, read_losses
from lessons.results import summary

import pandas as pd

PUBLISHED_SOURCE = (
    "validation losses reported elsewhere for the same rungs, as they were handed to this "
    "project; their original source is not on record"
)
# What each preset of the README's table is for; GPT-2's four stand in one row.
PURPOSES = {
    "small": "any laptop: rung 8 above",
    "cpu": "a laptop, with more room",
    "gpu": "one GPU",
    "gpt2-124m": "several large GPUs",
}

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


def worth_of_the_mean(folder: Path = EXPERIMENTS_DIR) -> tuple[pd.DataFrame, str]:
    """What the mean of the last weights does to each rung's loss, mean and sd, and how measured."""
    path = folder / "polyak.csv"
    rows = read_csv(path, ["rung", "seed", "last_weights", "their_mean"])
    worth = (rows.their_mean - rows.last_weights).groupby(rows.rung).agg(["mean", "std"])
    about = read_about(path.with_suffix(".json"), "device")
    return worth, f"{rows.seed.nunique()} seeds on an {about.device}, mean ± sd"


def ladder_table(folder: Path = LOSSES_DIR) -> str:
    """The table in Markdown, from records alone; a rung without loss files has no row."""
    table = summary(read_losses(folder))
    worth, how_worth = worth_of_the_mean()
    rows, measured = [], {}
    for rung in (rung for rung in LADDER if rung.stem in table.index):
        row, about = table.loc[rung.stem], read_about(folder / f"{rung.stem}.json", *NEEDED)
        measured.setdefault(how_measured(about, int(row.seeds)), []).append(rung.title)
        spread = "" if row.seeds == 1 else f" ± {row.sd:.3f}"
        by_mean = ""
        if rung.stem in worth.index:
            # A change that rounds to nothing has no sign.
            mean, sd = worth.loc[rung.stem].round(3)
            by_mean = f"{mean:+.3f} ± {sd:.3f}".replace("-", "−") if mean else f"0.000 ± {sd:.3f}"
        rows.append({
            "rung": f"{rung.number} · {rung.title}",
            "lesson": str(rung.lesson),
            "idea": rung.idea,
            "parameters": f"{about.parameters:,}",
            "final validation loss": f"{row.val_loss:.3f}{spread}",
            "change by averaging": by_mean,
            "published": f"{rung.published:.2f}",
            "seconds": f"{row.seconds:.0f}",
        })  # fmt: skip
    # Most rungs were measured alike; the others are named.
    usual = max(measured, key=lambda how: len(measured[how]))
    others = [f"; {', '.join(titles)}: {how}" for how, titles in measured.items() if how != usual]
    note = (
        "\n\nLosses in nats per character (how badly text never trained on is guessed: 0 is "
        "perfect, 4.17 is knowing nothing), on the whole validation split: mean ± sd over seeds. "
        f"Seconds: the median seed. Measured with {usual}{''.join(others)}. "
        "Change by averaging: what ending with the mean of the last weights does to the loss, "
        f"against the last weights of the same run ({how_worth}). Published: {PUBLISHED_SOURCE}."
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


def presets_table() -> str:
    """The shape of each preset, how it is trained, and what it is for."""
    rows = []
    for name, purpose in PURPOSES.items():
        shape, training = PRESETS[name].shape, PRESETS[name].training
        family = [other for other in PRESETS if other.split("-")[0] == name.split("-")[0]]
        sizes = [f"`{other.removeprefix('gpt2')}`" for other in family[1:]]
        rows.append({
            "preset": ", ".join([f"`{name}`", *sizes]),
            "layers, heads, width": "GPT-2's" if len(family) > 1 else
                f"{shape.n_layer}, {shape.n_head}, {shape.n_embd}",
            "context": f"{shape.block_size:,}",
            "batch": f"{training.batch_size:,}",
            "steps": f"{training.max_iters:,}",
            "for": purpose,
        })  # fmt: skip
    return markdown(pd.DataFrame(rows), words=["preset", "layers, heads, width", "for"])


def busy_table(folder: Path = EXPERIMENTS_DIR) -> str:
    """Steps per second beside other programs, from busy.csv alone."""
    path, names = folder / "busy.csv", {"default": "PyTorch's default", "short spin": "ours"}
    rows = read_csv(path, ["way", "busy_loops", "seed", "steps_per_second"]).replace({"way": names})
    speed = rows.pivot_table("steps_per_second", "way", "busy_loops", aggfunc="median")
    ways, loops = [*names.values(), "one thread"], [0, 1, 2]
    if not {*ways} <= {*speed.index} or [*speed] != loops or speed.loc[ways].isna().any(axis=None):
        raise BadInput(f"{path} lacks ways beside 0, 1 or 2 busy programs: type `make busy`.")
    speed.columns = ["quiet", "beside one busy program", "beside two"]
    table = speed.loc[ways].reset_index()
    for column in speed:
        table[column] = table[column].map("{:.1f}".format)
    about = read_about(path.with_suffix(".json"), "preset", "cores", "device")
    return (
        f"{markdown(table, words=['way'])}\n\nSteps per second of preset `{about.preset}`, the "
        f"median of {rows.seed.nunique()} runs, on {about.cores} cores of an {about.device}."
    )


def own_text_table(folder: Path = EXPERIMENTS_DIR) -> str:
    """What trainings on several texts reached, from own_text.csv alone."""
    path, keys = folder / "own_text.csv", ["preset", "text", "n_chars", "vocab_size", "count_loss"]
    measured = ["best_loss", "best_step", "last_loss"]
    rows = read_csv(path, ["seed", *keys, *measured])
    table = rows.groupby(keys)[measured].mean().reset_index()
    # The preset small first, and Tiny Shakespeare.
    table = table.sort_values(keys[:3], ascending=[False, False, True])
    about = read_about(path.with_suffix(".json"), "device")
    training = about.more["training"]
    last_step = table.preset.map({name: how["max_iters"] for name, how in training.items()})
    at = "{:.2f} at step {:,.0f}".format
    shown = pd.DataFrame({
        "preset": "`" + table.preset + "`",
        "text": table.text,
        "characters": table.n_chars.map("{:,}".format),
        "ln V": table.vocab_size.map(lambda v: f"ln {v} = {math.log(v):.2f}"),
        "counting pairs": table.count_loss.map("{:.2f}".format),
        "lowest loss": [at(*pair) for pair in zip(table.best_loss, table.best_step, strict=True)],
        "last loss": [at(*pair) for pair in zip(table.last_loss, last_step, strict=True)],
    })  # fmt: skip
    n_seeds = rows.groupby(keys).seed.nunique()
    fewest, most = n_seeds.min(), n_seeds.max()
    seeds = f"{fewest} to {most} seeds" if fewest < most else f"{most} seeds"
    return (
        f"{markdown(shown, words=['preset', 'text'])}\n\nValidation losses in nats per character, "
        f"measured every {training['small']['eval_interval']} steps on an {about.device}; "
        f"{seeds} per row."
    )


def refreshed(page: str) -> str:
    """The page with its parts written anew."""
    page = replace_between(page, "lessons", lessons_table())
    page = replace_between(page, "ladder table", ladder_table())
    page = replace_between(page, "presets", presets_table())
    page = replace_between(page, "busy", busy_table())
    page = replace_between(page, "own text", own_text_table())
    page = replace_between(page, "counting", counting_table())
    page = replace_between(page, "parts", parts_table())
    page = replace_between(page, "record", record_table())
    return replace_between(page, "gpu", gpu_report())


@exits_cleanly
def main() -> None:
    args = write_or_check(__doc__).parse_args()
    old = read_text(README)
    refresh(README, old, refreshed(old), args.write, "`make figures`")


if __name__ == "__main__":
    main()
