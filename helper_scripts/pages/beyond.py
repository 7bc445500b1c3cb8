"""The README's tables of Part II, each from its records alone."""

from pathlib import Path

from lessons.about import read_about
from lessons.course.markers import markdown
from lessons.files import read_csv
from lessons.records import EXPERIMENTS_DIR

import pandas as pd


def counting_table(folder: Path = EXPERIMENTS_DIR) -> str:
    """Counting, the small GPT and a mixture of them, from counting_mixture.csv alone."""
    path = folder / "counting_mixture.csv"
    rows = read_csv(path, ["seed", "gpt_share", "gpt", "counting", "mixture"])
    about = read_about(path.with_suffix(".json"), "device", "hyperparameters")
    order, way = about.more["order"], about.hyperparameters
    names = {
        "gpt": "the small GPT, tuned",
        "counting": f"counting what followed the last {order} characters",
        "mixture": "a fixed mixture of the two",
    }
    shown = pd.DataFrame({
        "model": list(names.values()),
        "validation loss": [f"{rows[name].mean():.3f}" for name in names],
    })  # fmt: skip
    return (
        f"{markdown(shown, words=['model'])}\n\nNats per character on the whole validation split, "
        f"means of {len(rows)} seeds on an {about.device}. The GPT's learning rate "
        f"({way['learning_rate']:g}), dropout ({way['dropout']:g}) and number of steps "
        f"({way['max_iters']:,.0f}), the order and the GPT's share in the mixture "
        f"({rows.gpt_share.mean():.2f}) were chosen on the last tenth of the training split."
    )


def parts_table(folder: Path = EXPERIMENTS_DIR) -> str:
    """What each part is worth at equal steps and at equal time, from the modern_*.csv alone."""
    path, keys = folder / "modern_parts.csv", ["row", "seed", "learning_rate", "val_loss"]
    rows = read_csv(path, keys)
    speed = read_csv(folder / "modern_speed.csv", ["turn", "row", "milliseconds"])
    times = speed.pivot(index="turn", columns="row", values="milliseconds")
    about = read_about(path.with_suffix(".json"), "device")
    table = mean_and_sd(rows).to_frame("loss")
    table["loss in time"] = mean_and_sd(read_csv(folder / "modern_time.csv", keys))
    base = table.index[0]
    shown = pd.DataFrame({
        "model": table.index,
        "learning rate": rows.groupby("row").learning_rate.first()[table.index].map("{:g}".format),
        "at equal steps": table.loss,
        "a step takes": times.div(times[base], axis=0).median()[table.index].map("{:.2f}".format),
        "at equal time": table["loss in time"].fillna(""),
    })  # fmt: skip
    return (
        f"{markdown(shown, words=['model'])}\n\nValidation loss, mean ± sd over "
        f"{rows.seed.nunique()} seeds on an {about.device}, one thread, after "
        f"{about.more['max_iters']:,} steps, and after as many as fit into the time of {base}. The "
        "time of a step is measured beside that one's. The rates were chosen for each row on the "
        "last tenth of the training split."
    )


def mean_and_sd(rows: pd.DataFrame) -> pd.Series:
    """The mean and the deviation of each row's seeds, as text."""
    losses = rows.groupby("row", sort=False).val_loss
    return losses.mean().map("{:.3f}".format) + losses.std().map(" ± {:.3f}".format)


WAYS = {
    "nanogpt": "nanoGPT's recipe for a CPU",
    "plain": "a modern GPT",
    "joined": "the same, told what counting says",
}


def record_table(folder: Path = EXPERIMENTS_DIR) -> str:
    """Losses and times by way and budget, from record.csv alone."""
    path = folder / "record.csv"
    rows = read_csv(path, ["way", "budget", "seed", "steps", "seconds", "parameters", "val_loss"])
    about = read_about(path.with_suffix(".json"), "device")
    groups = rows.groupby(["budget", "way"])
    table = groups.agg({"steps": "median", "seconds": "median", "parameters": "max"})
    table["loss"], table["sd"] = groups.val_loss.mean(), groups.val_loss.std()
    table = table.reset_index().sort_values(["budget", "loss"], ascending=[True, False])
    shown = pd.DataFrame({
        "budget": table.budget.map(lambda s: f"{s} seconds" if s else "nanoGPT's steps"),
        "way": table.way.map(WAYS),
        "parameters": table.parameters.map("{:,}".format),
        "steps": table.steps.map("{:,.0f}".format),
        "seconds": table.seconds.map("{:.1f}".format),
        "validation loss": table.loss.map("{:.3f}".format) + table.sd.map(" ± {:.3f}".format),
    })  # fmt: skip
    return (
        f"{markdown(shown, words=['budget', 'way'])}\n\nMean ± sd of the last weights over "
        f"{rows.seed.nunique()} seeds, on the whole validation split; median seconds with "
        f"{about.more['threads']} threads on an {about.device}, those of nanoGPT's steps in one "
        "run, from the first look at the text to the last weights, counting included and the "
        "measuring of the loss not. A step of ours takes a little longer than nanoGPT's: ours take "
        "nine tenths of its steps."
    )
