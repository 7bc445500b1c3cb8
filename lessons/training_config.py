"""Plumbing · the settings of a training at scale, checked before it begins."""

import math
from dataclasses import dataclass, fields

from lessons.errors import BadInput


@dataclass(frozen=True)
class TrainingConfig:
    """How to train a GPT; raises BadInput for settings that cannot be.

    A step learns from batch_size sequences, however many processes and micro-batches they are
    spread over.
    """

    batch_size: int
    max_iters: int
    learning_rate: float = 1e-3  # at its peak; it ends at a tenth of that
    warmup_iters: int = 100
    weight_decay: float = 0.1
    beta2: float = 0.99  # AdamW averages squared gradients over about 1 / (1 - beta2) steps
    grad_clip: float = 1.0  # a longer gradient is cut to this length
    dropout: float = 0.0
    grad_accum_steps: int = 1  # micro-batches in each process
    eval_interval: int = 500

    def __post_init__(self):
        zero_is_fine = ("warmup_iters", "weight_decay", "dropout")
        for name in (field.name for field in fields(self)):
            value = getattr(self, name)
            if not (0 < value < math.inf or value == 0 and name in zero_is_fine):
                raise BadInput(f"{name} is {value}: it must be a number above 0.")
        for name in ("dropout", "beta2"):
            if getattr(self, name) >= 1:
                raise BadInput(f"{name} is {getattr(self, name)}: it must be below 1.")
