"""Lesson 8 · how large each step is, and which weights decay."""

import math
from dataclasses import dataclass, fields

import torch
import torch.nn as nn

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


def learning_rate_at(step: int, config: TrainingConfig) -> float:
    """Up in a straight line, then down along half a cosine to a tenth of the peak.

    Large steps wait until AdamW knows the size of the gradients; at the end small ones let the
    weights come to rest, which the mean of the last weights does in lesson 1.
    Loshchilov and Hutter, SGDR, 2017; Goyal et al., Accurate, Large Minibatch SGD, 2017.
    """
    if step < config.warmup_iters:
        return config.learning_rate * (step + 1) / config.warmup_iters
    n_later = max(config.max_iters - config.warmup_iters, 1)
    progress = (step - config.warmup_iters) / n_later  # 0 to 1
    height = (1 + math.cos(math.pi * progress)) / 2  # 1 to 0
    return config.learning_rate * (0.1 + 0.9 * height)


def make_optimizer(model: nn.Module, config: TrainingConfig) -> torch.optim.AdamW:
    """AdamW that pulls matrices, tables too, towards 0, but neither biases nor norms' gains.

    Loshchilov and Hutter, Decoupled Weight Decay Regularization, 2019.
    """
    parameters = list(model.parameters())
    groups = [
        {"params": [p for p in parameters if p.dim() >= 2], "weight_decay": config.weight_decay},
        {"params": [p for p in parameters if p.dim() < 2], "weight_decay": 0.0},
    ]
    # All weights in one kernel, where PyTorch has one for the device.
    fused = parameters[0].device.type in ("cpu", "cuda")
    return torch.optim.AdamW(groups, config.learning_rate, betas=(0.9, config.beta2), fused=fused)
