"""What learners write: for each exercise, wrong answers with a part of the hint they must get."""

from dataclasses import dataclass, field
from unittest.mock import patch

from lessons import checks
from lessons.checks import bands
from lessons.records import EXPERIMENTS_DIR

import pandas as pd

# Of as many characters as Tiny Shakespeare, so that its losses are plausible here too.
ANOTHER_TEXT = "".join(map(chr, range(48, 48 + 65))) * 20


def solved(experiment: str) -> dict[str, list[float]]:
    """What the solution measured with the notebook's seed: column -> its values, row by row."""
    record = pd.read_csv(EXPERIMENTS_DIR / "exercises.csv")
    own = record[(record.experiment == experiment) & (record.seed == 1337)]
    return {name: rows.value.tolist() for name, rows in own.groupby("measured", sort=False)}


@dataclass
class Wrong:
    """Wrong answers to one exercise: a part of the check's sentence -> the answer that earns it.

    `facts` is what the check takes besides the answer; `right` is a table that passes, where
    the answer is a table. `known` if its text is to be taken for Tiny Shakespeare.
    """

    exercise: str
    answers: dict[str, object]
    facts: tuple = ()
    right: object = field(default=None, repr=False)
    known: bool = False

    def verdict_on(self, answer: object) -> checks.Verdict:
        """What the check says of an answer."""
        with patch.object(bands, "is_tiny_shakespeare", lambda text: self.known):
            return getattr(checks, self.exercise)(answer, *self.facts)
