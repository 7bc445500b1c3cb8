"""Plumbing · what describes a run: losses.json in its folder, and a part of each checkpoint."""

from __future__ import annotations

from dataclasses import MISSING, asdict, dataclass, fields
from typing import TypeVar, get_type_hints

from lessons.errors import BadInput
from lessons.gpt import GPTConfig
from lessons.presets import TrainingConfig

Kind = TypeVar("Kind")


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
    """A run: its shape, its settings, its seed and its text."""

    preset: str
    shape: GPTConfig
    training: TrainingConfig
    seed: int
    text_sha256: str
    vocabulary: str
    computation: Computation | None = None

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
        try:
            if not isinstance(values, dict):
                raise TypeError("it holds no JSON object")
            (seed,) = values["seeds"]
            known = {key: values[key] for key in ("preset", "text_sha256", "vocabulary")}
            names = [field.name for field in fields(Computation)]
            return checked(cls, known | {
                "shape": checked(GPTConfig, values["shape"]),
                "training": checked(TrainingConfig, values["hyperparameters"]),
                "seed": seed,
                "computation": checked(Computation, {name: values[name] for name in names})
                if set(names) <= values.keys()
                else None,
            })  # fmt: skip
        except KeyError as error:
            problem = f"{error} is missing"
        except (TypeError, ValueError) as error:  # BadInput too
            problem = str(error).rstrip(".")
        raise BadInput(problem)

    def difference(self, other: RunDescription) -> str | None:
        """The first thing that makes this another run, or None; settings may differ."""
        names = ("preset", "shape", "vocabulary", "text_sha256", "seed")
        return next((n for n in names if getattr(self, n) != getattr(other, n)), None)


def checked(kind: type[Kind], values: object) -> Kind:
    """The dataclass `kind` with these fields; raises BadInput for a wrong name or type."""
    if not isinstance(values, dict):
        raise BadInput(f"a {kind.__name__} is a {type(values).__name__}, not an object.")
    types = get_type_hints(kind)
    for name, value in values.items():
        if name not in types:
            raise BadInput(f"{name!r} is unknown.")
        wanted = int | float if types[name] is float else types[name]
        # For Python, True is an int.
        if not isinstance(value, wanted) or isinstance(value, bool) and wanted is not bool:
            raise BadInput(f"{name!r} is a {type(value).__name__}.")
    missing = [f.name for f in fields(kind) if f.default is MISSING and f.name not in values]
    if missing:
        raise BadInput(f"{missing[0]!r} is missing.")
    return kind(**values)
