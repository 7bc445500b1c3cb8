"""What learners write: for each exercise, wrong answers with a part of the hint they must get."""

from dataclasses import dataclass, field


@dataclass
class Wrong:
    """Wrong answers to one exercise: a part of the check's sentence -> the answer that earns it.

    `facts` is what the check takes besides the answer; `right` is a made-up table that passes,
    where the answer is a table.
    """

    exercise: str
    answers: dict[str, object]
    facts: tuple = ()
    right: object = field(default=None, repr=False)
