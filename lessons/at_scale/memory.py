"""Plumbing · will it fit? How much memory a training run needs, and how much there is."""

from lessons.device import memory_free
from lessons.errors import BadInput
from lessons.gpt import GPT, GPTConfig, parameter_count
from lessons.presets import TrainingConfig

import torch

GB = 1e9


def memory_needed(shape: GPTConfig, batch_size: int, dropout: float, device: torch.device) -> int:
    """About how many bytes it takes to train this shape in float32, `batch_size` sequences at once.

    Half precision needs somewhat less.
    """
    with torch.device("meta"):  # shapes without numbers: this allocates nothing
        n_parameters = parameter_count(GPT(shape))
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
    return n_parameters * per_parameter + batch_size * shape.block_size * per_token


def check_memory(
    name: str, shape: GPTConfig, training: TrainingConfig, processes: int, device: torch.device
) -> None:
    """Raises BadInput if the run will not fit, and says by how much and what to turn down."""
    on_this_device = 1 if device.type == "cuda" else processes
    n_shares = processes * training.grad_accum_steps
    free = memory_free(device)

    def needed(batch_size: int) -> int:
        return memory_needed(shape, batch_size, training.dropout, device) * on_this_device

    missing = needed(training.batch_size // n_shares) - free
    if missing <= 0:
        return
    fitting = [
        n for n in range(training.grad_accum_steps, training.batch_size // processes + 1)
        if training.batch_size % (processes * n) == 0
        and needed(training.batch_size // (processes * n)) <= free
    ]  # fmt: skip
    way_out = f"set --grad-accum-steps {fitting[0]}" if fitting else "choose a smaller preset"
    raise BadInput(
        f"{name} needs about {(missing + free) / GB:.1f} GB of memory, {missing / GB:.1f} GB more "
        f"than the {free / GB:.1f} GB that are free here: {way_out}."
    )
