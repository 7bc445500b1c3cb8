"""Plumbing · named shapes and settings, from a laptop's to GPT-2's.

Training replaces a preset's vocab_size with that of the text.
"""

import math
from dataclasses import dataclass, replace

from lessons.arguments import COUNT, MOST, RATE, Range
from lessons.errors import BadInput
from lessons.gpt import GPTConfig

# What each setting of a TrainingConfig may be.
TRAINING_RANGES = {
    # A step of more sequences would take hours, and show nothing meanwhile.
    "batch_size": Range(1, 1_000_000),
    "max_iters": COUNT,
    "learning_rate": RATE,
    "warmup_iters": Range(0, MOST),
    "weight_decay": Range(0, math.inf, whole=False),
    "beta2": Range(0, 1, whole=False, low_fits=False, high_fits=False),
    "grad_clip": RATE,
    "dropout": Range(0, 1, whole=False, high_fits=False),
    "grad_accum_steps": Range(1, 1_000_000),
    "eval_interval": COUNT,
}


@dataclass(frozen=True)
class TrainingConfig:
    """How to train a GPT; raises BadInput for impossible settings.

    A step learns from batch_size sequences, however many processes and micro-batches they are
    spread over.
    """

    batch_size: int
    max_iters: int
    learning_rate: float = 1e-3  # at its peak; it ends at a tenth of that
    warmup_iters: int = 100
    weight_decay: float = 0.1
    beta2: float = 0.99  # AdamW averages squared gradients over about 1 / (1 - beta2) steps
    grad_clip: float = 1.0  # a longer gradient is clipped to this length
    dropout: float = 0.0
    grad_accum_steps: int = 1  # micro-batches in each process
    eval_interval: int = 500

    def __post_init__(self):
        for name, numbers in TRAINING_RANGES.items():
            numbers.check(name, getattr(self, name))


@dataclass(frozen=True)
class Preset:
    """A shape, and how to train it."""

    shape: GPTConfig
    training: TrainingConfig

    @property
    def max_iters(self) -> int:
        """How many steps it is trained for."""
        return self.training.max_iters

    def with_training(self, **changes) -> "Preset":
        """The same shape with other hyperparameters of the training, such as max_iters."""
        return replace(self, training=replace(self.training, **changes))


def _gpt2(n_layer: int, n_head: int, n_embd: int) -> Preset:
    shape = GPTConfig(50257, 1024, n_layer, n_head, n_embd, qkv_bias=True, tied=True)
    # A batch of half a million tokens: grad_accum_steps splits it until it fits the memory.
    training = TrainingConfig(batch_size=512, max_iters=20000, learning_rate=6e-4,
                              warmup_iters=700, beta2=0.95)  # fmt: skip
    return Preset(shape, training)


PRESETS = {
    # The rung on a CPU: the lecture's shape before it is scaled up.
    "small": Preset(
        GPTConfig(vocab_size=65, block_size=32, n_layer=4, n_head=4, n_embd=64),
        TrainingConfig(batch_size=16, max_iters=5000, eval_interval=500),
    ),
    "cpu": Preset(
        GPTConfig(vocab_size=65, block_size=64, n_layer=4, n_head=4, n_embd=128),
        TrainingConfig(batch_size=12, max_iters=2000, eval_interval=250),
    ),
    # The rung on a GPU.
    "gpu": Preset(
        GPTConfig(vocab_size=65, block_size=256, n_layer=6, n_head=6, n_embd=384),
        # It sees the text eighty times: strong weight decay keeps it from overfitting. What
        # that rests on stands in CONTRIBUTING.md.
        TrainingConfig(
            batch_size=64, max_iters=5000, eval_interval=250, dropout=0.2, weight_decay=1.0
        ),
    ),
    # The four shapes of GPT-2, named in millions of parameters.
    "gpt2-124m": _gpt2(n_layer=12, n_head=12, n_embd=768),
    "gpt2-355m": _gpt2(n_layer=24, n_head=16, n_embd=1024),
    "gpt2-774m": _gpt2(n_layer=36, n_head=20, n_embd=1280),
    "gpt2-1558m": _gpt2(n_layer=48, n_head=25, n_embd=1600),
}


def find_preset(name: str) -> Preset:
    """The preset of this name; raises BadInput if there is none."""
    if name not in PRESETS:
        raise BadInput(f"There is no preset {name!r}: choose from {', '.join(PRESETS)}.")
    return PRESETS[name]
