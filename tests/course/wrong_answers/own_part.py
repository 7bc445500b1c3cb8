"""Lesson 10's third exercise."""

import math

from wrong_answers import ANOTHER_TEXT, Wrong, solved

import pandas as pd

WITHOUT = solved("part_experiment")["val_loss"][:3]


def table(without=WITHOUT, mine=(2.16123, 2.10234, 2.09345)) -> pd.DataFrame:
    rows = {"part": 3 * ["none"] + 3 * ["mine"], "learning_rate": 2 * [0.002, 0.004, 0.008]}
    return pd.DataFrame(rows | {"val_loss": [*without, *mine]})


RIGHT = table()

WRONG = [
    Wrong("part_experiment", {
        "`learning_rate` 0.002 and 0.004 have": table(mine=(2.16123, 2.16123, 2.16123)),
        "`part` none and mine have": table(mine=WITHOUT),
        "is never negative": RIGHT.assign(val_loss=-RIGHT.val_loss),
        "has 0 rows for part mine, learning_rate 0.008": RIGHT[:-1],
        "has 0 columns named `val_loss`": RIGHT.rename(columns={"val_loss": "loss"}),
    }, facts=(ANOTHER_TEXT,), right=RIGHT),
    Wrong("part_experiment", {
        "is in bits": table([loss / math.log(2) for loss in WITHOUT]),
        "is a perplexity": table([math.exp(loss) for loss in WITHOUT]),
        "Are rows exchanged?": table([WITHOUT[1], WITHOUT[0], WITHOUT[2]]),
        "does it see the future": table(mine=(0.51234, 0.41234, 0.31234)),
        "above ln V": table(mine=(5.12345, 4.51234, 4.41234)),
        "and the solution's, measured with": table([loss + 0.3 for loss in WITHOUT]),
    }, facts=(ANOTHER_TEXT,), known=True, right=RIGHT),
]  # fmt: skip
