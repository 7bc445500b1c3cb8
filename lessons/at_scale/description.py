"""Plumbing · what describes a run: losses.json in its folder, and a part of each checkpoint."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

from lessons.about import Totals
from lessons.errors import BadInput
from lessons.files import read_json
from lessons.gpt import GPTConfig
from lessons.presets import TrainingConfig, find_preset
from lessons.schema import check_sha256, checked


@dataclass(frozen=True)
class Computation:
    """What is known once a run trains; it changes if the run is resumed on another machine."""

    parameters: int
    torch: str
    device: str
    dtype: str
    processes: int
    threads_per_process: int


@dataclass(frozen=True)
class RunDescription:
    """A run: its shape, its settings, its seed and its text; raises BadInput if they contradict."""

    preset: str
    shape: GPTConfig
    training: TrainingConfig
    seed: int
    text_sha256: str
    vocabulary: str
    computation: Computation | None = None

    def __post_init__(self):
        # Nothing else would bound it: a model of a billion layers is never built.
        if self.shape != replace(find_preset(self.preset).shape, vocab_size=self.shape.vocab_size):
            raise BadInput(f"'shape' is not that of preset {self.preset!r}.")
        check_sha256(self.text_sha256)
        if "".join(sorted(set(self.vocabulary))) != self.vocabulary:
            raise BadInput("'vocabulary' is not in order, each character once.")
        if len(self.vocabulary) != self.shape.vocab_size:
            raise BadInput(
                f"'vocabulary' has {len(self.vocabulary)} characters, and the shape has a "
                f"vocab_size of {self.shape.vocab_size}."
            )

    def to_json(self) -> dict:
        """Plain values; what a rung's JSON file says too has the same key as there."""
        return {
            "preset": self.preset,
            "shape": asdict(self.shape),
            "hyperparameters": asdict(self.training),
            "seeds": [self.seed],
            "text_sha256": self.text_sha256,
            "vocabulary": self.vocabulary,
            **(asdict(self.computation) if self.computation else {}),
        }

    @classmethod
    def from_json(cls, values: object) -> RunDescription:
        """What `to_json` was called on; raises BadInput, with what is wrong, for anything else."""
        if not isinstance(values, dict):
            raise BadInput("it holds no JSON object")
        try:
            seeds = values["seeds"]
            if not isinstance(seeds, list) or len(seeds) != 1:
                raise BadInput("'seeds' is not a list of one.")
            checked(Totals, values.get("totals", {"seconds": 0.0}))
            known = {key: values[key] for key in ("preset", "shape", "text_sha256", "vocabulary")}
            known |= {"training": values["hyperparameters"], "seed": seeds[0]}
            names = [field.name for field in fields(Computation) if field.name in values]
            if names:  # a run that was never trained has none
                known["computation"] = {name: values[name] for name in names}
            return checked(cls, known)
        except KeyError as error:
            problem = f"{error} is missing"
        except BadInput as error:
            problem = str(error).rstrip(".")
        raise BadInput(problem)

    def difference(self, other: RunDescription) -> str | None:
        """The first thing that makes this another run, or None; settings may differ."""
        names = ("preset", "shape", "vocabulary", "text_sha256", "seed")
        return next((n for n in names if getattr(self, n) != getattr(other, n)), None)


def read_description(folder: Path) -> RunDescription:
    """The run that losses.json describes; raises BadInput if it is missing or describes none."""
    path = folder / "losses.json"
    values = read_json(path, missing=f"{path}, which describes the run in this folder, is missing: "
                       "restore it, or use another folder.")  # fmt: skip
    try:
        return RunDescription.from_json(values)
    except BadInput as problem:
        raise BadInput(
            f"{path} does not describe a run of this script ({problem}): restore it, or use "
            "another folder."
        ) from None
