"""Plumbing · what the doctor tries out: which presets fit, and whether MPS computes right."""

import json

from lessons.at_scale.memory import GB, memory_needed
from lessons.device import memory_free, pick_device
from lessons.gpt import GPT, GPTConfig
from lessons.optimization import make_optimizer
from lessons.presets import PRESETS, TrainingConfig

import torch

SHAPE = GPTConfig(vocab_size=65, block_size=32, n_layer=2, n_head=4, n_embd=32)
TRAINING = TrainingConfig(batch_size=8, max_iters=20, warmup_iters=0)
# Wide enough for rounding, it is hoped: no MPS was at hand to measure what twenty steps make of it.
TOLERANCE = 0.01


def report() -> str:
    """Rows of the doctor's table as JSON: name, what was found, verdict."""
    rows = [presets_row(pick_device())]
    if torch.backends.mps.is_available():
        rows.append(agreement_row(torch.device("mps")))
    return json.dumps(rows)


def presets_row(device: torch.device) -> tuple[str, str, str]:
    """Which presets can be trained in the memory that is free on this device."""
    free = memory_free(device)

    def fits(name: str, batch_size: int) -> bool:
        shape, dropout = PRESETS[name].shape, PRESETS[name].training.dropout
        return memory_needed(shape, batch_size, dropout, device) <= free

    whole = [name for name in PRESETS if fits(name, PRESETS[name].training.batch_size)]
    split = [name for name in PRESETS if name not in whole and fits(name, 1)]
    found = f"{', '.join(whole) or 'none'} in {free / GB:.1f} GB"
    if not whole:
        return "presets fit", found, "note: close other programs"
    note = f"note: with --grad-accum-steps {', '.join(split)} too" if split else "ok"
    return "presets fit", found, note


def agreement_row(device: torch.device) -> tuple[str, str, str]:
    """Whether a device computes the losses that the CPU computes."""
    apart = (losses_on(device) - losses_on(torch.device("cpu"))).abs().max().item()
    name = f"{device.type.upper()} check"
    steps = f"{TRAINING.max_iters} steps on {device.type}"
    if apart <= TOLERANCE:
        return name, f"{steps} agree with the CPU's", "ok"
    found = f"{steps} differ from the CPU's by {apart:.2g}"
    return name, found, "note: wrong losses: use --device cpu, or a newer torch"


def losses_on(device: torch.device) -> torch.Tensor:
    """The losses, (max_iters,), of steps that memorise one batch of random tokens."""
    generator = torch.Generator().manual_seed(1337)
    size = (TRAINING.batch_size, SHAPE.block_size + 1)
    batch = torch.randint(SHAPE.vocab_size, size, generator=generator).to(device)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1337)  # weights are drawn on the CPU, then moved: alike everywhere
        model = GPT(SHAPE).to(device)
    optimizer = make_optimizer(model, TRAINING)
    losses = []
    for _ in range(TRAINING.max_iters):
        _, loss = model(batch[:, :-1], batch[:, 1:])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return torch.tensor(losses)
