"""Lesson 8 · how large each step is, and which weights decay."""

import math

from lessons.presets import TrainingConfig

import torch
import torch.nn as nn


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
