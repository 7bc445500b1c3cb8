"""Plumbing · what the JSON file of a record says about the rows beside it."""

from dataclasses import dataclass, field, fields
from pathlib import Path

from lessons.errors import BadInput
from lessons.files import read_json
from lessons.schema import check_sha256, checked


@dataclass(frozen=True)
class Totals:
    """What all rows of a record, or a run that has ended, took together."""

    seconds: float


@dataclass(frozen=True)
class About:
    """What NAME.json says of the rows beside it; a record has those that apply to it.

    What only some experiment has is in `more`, as it stands there.
    """

    # what was measured
    rung: str | None = None
    experiment: str | None = None
    preset: str | None = None
    hyperparameters: dict | None = None
    parameters: int | None = None
    text_sha256: str | dict | None = None  # or that of each text
    seeds: tuple[int, ...] | None = None
    # on which machine, and how
    torch: str | None = None
    device: str | None = None
    cores: int | None = None
    dtype: str | None = None
    seeds_side_by_side: int | None = None
    threads_per_seed: int | None = None
    totals: Totals | None = None
    more: dict = field(default_factory=dict)

    def __post_init__(self):
        digest = self.text_sha256
        if isinstance(digest, str):
            check_sha256(digest)
        if self.seeds is not None and sorted(set(self.seeds)) != list(self.seeds):
            raise BadInput("'seeds' are not in order, each once.")

    def says(self, wanted: dict) -> bool:
        """Whether it has these values."""
        known = vars(self) | self.more
        return all(known.get(name) == value for name, value in wanted.items())


def read_about(path: Path, *needed: str) -> About:
    """What a record's JSON file says; raises BadInput, naming what is wrong or missing."""
    values = read_json(path, missing=f"{path}, which says how {path.stem} was measured, is "
                       "missing: restore it, or measure again into another folder.")  # fmt: skip
    names = {field.name for field in fields(About)} - {"more"}
    known = {name: values.pop(name) for name in names & values.keys()}
    try:
        about = checked(About, known | {"more": values})
        missing = [name for name in needed if getattr(about, name) is None]
        if missing:
            raise BadInput(f"{missing[0]!r} is missing.")
    except BadInput as problem:
        raise BadInput(
            f"{path} does not describe a record ({str(problem).rstrip('.')}): restore it, or "
            "move it elsewhere and measure again."
        ) from None
    return about
