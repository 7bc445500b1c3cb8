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
