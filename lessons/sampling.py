"""Lesson 1 · writing text with a model, one token at a time.

Shapes: B batch, T time (positions), V vocab_size.
"""

from lessons.errors import BadInput
from lessons.evaluation import evaluation

import torch
import torch.nn as nn
import torch.nn.functional as F


def generate(
    model: nn.Module,
    idx: torch.Tensor,
    max_new_tokens: int,
    temperature: float = 1.0,
    top_k: int | None = None,
    generator: torch.Generator | None = None,
) -> torch.Tensor:
    """Continue each prompt in `idx`: (B, T) -> (B, T + max_new_tokens).

    A low `temperature` plays safe, a high one takes risks; `top_k` keeps only the k likeliest
    tokens; a `generator` must live on the model's device. Raises BadInput for an empty prompt,
    a temperature below 1e-6, with which logits could become infinite, and a top_k below 1.
    """
    if idx.shape[1] == 0:
        raise BadInput("The prompt is empty: start with at least one token, such as a newline's.")
    if not temperature >= 1e-6 or (top_k is not None and top_k < 1):
        raise BadInput(
            "temperature and top_k must be above 0, and temperature not below 1e-6; for greedy "
            "sampling use top_k=1."
        )
    with evaluation(model):
        for _ in range(max_new_tokens):
            context = idx[:, -model.block_size :]  # the model cannot look further back
            logits, _ = model(context)
            logits = logits[:, -1] / temperature  # only the last position predicts, (B, V)
            if top_k is not None:
                kth_best = logits.topk(min(top_k, logits.shape[-1])).values[:, -1:]  # (B, 1)
                logits = logits.masked_fill(logits < kth_best, float("-inf"))
            probs = F.softmax(logits, dim=-1)  # (B, V)
            idx_next = torch.multinomial(probs, num_samples=1, generator=generator)  # (B, 1)
            idx = torch.cat((idx, idx_next), dim=1)
    return idx
