"""Plumbing · will it fit? How much memory a training run needs, and how much there is."""

from math import isqrt

from lessons.device import memory_free
from lessons.errors import BadInput
from lessons.gpt import GPTConfig
from lessons.presets import TrainingConfig

import torch

GB = 1e9


def memory_needed(shape: GPTConfig, batch_size: int, dropout: float, device: torch.device) -> int:
    """About how many bytes it takes to train this shape in float32, `batch_size` sequences at once.

    Half precision needs somewhat less.
    """
    # A float32 number is 4 bytes; each weight has a gradient and two running means in AdamW.
    per_parameter = 4 * 4
    # What a block keeps of a token for the backward pass: inputs and outputs of two norms (4 C),
    # q, k, v and their copies sorted by head (6 C), the heads' outputs (2 C), and the four times
    # wider layer before and after its bend (8 C). At the end logits, softmax and their gradients.
    per_token = 4 * (20 * shape.n_embd * shape.n_layer + 4 * shape.vocab_size)
    if dropout and device.type != "cuda":
        # It then keeps the attention weights (T, T), which CUDA's kernels recompute instead: four
        # float32 copies, and what was dropped.
        per_token += 18 * shape.n_head * shape.block_size * shape.n_layer
    return parameters(shape) * per_parameter + batch_size * shape.block_size * per_token


def parameters(shape: GPTConfig) -> int:
    """The `parameter_count` of a GPT of this shape, without building it: that could take hours."""
    V, T, C = shape.vocab_size, shape.block_size, shape.n_embd
    norm, biases = 2 * C, 3 * C if shape.qkv_bias else 0
    # Weights and biases: qkv and projection, then the two layers of which one is four times wider.
    block = 2 * norm + (4 * C * C + C + biases) + (8 * C * C + 5 * C)
    head = 0 if shape.tied else V * C + V
    return V * C + T * C + shape.n_layer * block + norm + head


def check_memory(
    name: str, shape: GPTConfig, training: TrainingConfig, processes: int, device: torch.device
) -> None:
    """Raises BadInput if the run will not fit, and says by how much and what to turn down."""
    on_this_device = 1 if device.type == "cuda" else processes
    free, share = memory_free(device), training.batch_size // processes

    def needed(batch_size: int, whole: int = training.batch_size) -> int:
        # Every process draws the whole batch: places, inputs and targets in int64.
        drawn = 3 * 8 * whole * shape.block_size
        needed_at_once = memory_needed(shape, batch_size, training.dropout, device)
        return on_this_device * (needed_at_once + drawn)

    missing = needed(share // training.grad_accum_steps) - free
    if missing <= 0:
        return
    # Of more than a thousand pieces, one after the other, a step would hardly end.
    pieces = (n for n in divisors(share) if training.grad_accum_steps <= n <= 1000)
    fitting = next((n for n in pieces if needed(share // n) <= free), None)
    smaller = "lower --batch-size" if needed(1, processes) <= free else "choose a smaller preset"
    way_out = f"set --grad-accum-steps {fitting}" if fitting else smaller
    raise BadInput(
        f"{name} needs about {(missing + free) / GB:,.1f} GB of memory, {missing / GB:,.1f} GB more"
        f" than the {free / GB:.1f} GB that are free here: {way_out}."
    )


def divisors(n: int) -> list[int]:
    """The whole numbers that divide n, in order."""
    low = [d for d in range(1, isqrt(n) + 1) if n % d == 0]
    return sorted({*low, *(n // d for d in low)})
