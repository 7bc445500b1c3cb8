"""Tokens per second of a preset's model: lesson 1's loop and the scaled one, in one run.

Next to them the lecture's whole script: heads in a list, batches stacked from slices, plain
AdamW, and 51 evaluations of two times 200 batches. The time of a whole run is added up from timed
steps and timed evaluations.
"""

import statistics
from collections.abc import Callable
from dataclasses import replace

from lecture import lecture_batch, lecture_estimate, plain_step
from lessons.arguments import FEW, Parser
from lessons.at_scale.distributed import micro_batch_size
from lessons.at_scale.precision import autocast, pick_dtype
from lessons.at_scale.shared_loss import eval_ids, shared_full_loss
from lessons.at_scale.state import TrainingState
from lessons.at_scale.step import train_step
from lessons.batches import get_batch
from lessons.corpus import load_text
from lessons.dataset import encode_and_split
from lessons.device import device_name, dtype_name, pick_device
from lessons.errors import exits_cleanly
from lessons.gpt import GPT
from lessons.language_model import LanguageModel
from lessons.multi_head import MultiHeadAttention
from lessons.normalization import PreNormBlock
from lessons.presets import Preset, find_preset
from lessons.timing import seconds_per_call
from lessons.training import EVAL_BATCH_SIZE, EVAL_ITERS, estimate_loss

import torch
import torch.nn as nn

LECTURE_EVALUATIONS = 51  # every 100 of 5,000 steps, and at the end


class Contestant:
    """A way to train: what a step is, what an evaluation is, and how many of them a run has."""

    def __init__(self, step: Callable, evaluate: Callable, evaluations: int):
        self.step, self.evaluate, self.evaluations = step, evaluate, evaluations

    def seconds(self, max_iters: int, step_seconds: float, device: torch.device) -> float:
        """What a whole run would take."""
        evaluation_seconds = seconds_per_call(self.evaluate, device=device)
        return max_iters * step_seconds + self.evaluations * evaluation_seconds


def lecture(preset: Preset, train_data, val_data, device: torch.device) -> Contestant:
    """The lecture's script for this shape."""
    shape, config = preset.shape, preset.training
    blocks = [
        PreNormBlock(shape.n_embd, shape.n_head, config.dropout) for _ in range(shape.n_layer)
    ]
    for block in blocks:
        block.attn = MultiHeadAttention(shape.n_embd, shape.n_head, shape.block_size)
    model = LanguageModel(shape.vocab_size, shape.n_embd, shape.block_size, nn.Sequential(*blocks),
                          nn.LayerNorm(shape.n_embd)).to(device)  # fmt: skip
    optimizer = torch.optim.AdamW(model.parameters(), config.learning_rate)

    def batch():
        return lecture_batch(train_data, config.batch_size, shape.block_size)

    def evaluate() -> None:
        for data in (train_data, val_data):
            lecture_estimate(model, data, config.batch_size, shape.block_size)

    return Contestant(plain_step(model, batch, optimizer), evaluate, LECTURE_EVALUATIONS)


def plain(preset: Preset, train_data, val_data, device: torch.device) -> Contestant:
    """Lesson 1's loop on the GPT itself."""
    config, model = preset.training, GPT(preset.shape, preset.training.dropout).to(device)
    block_size = model.block_size
    optimizer = torch.optim.AdamW(model.parameters(), config.learning_rate, fused=True)

    def evaluate() -> None:
        for data in (train_data, val_data):
            estimate_loss(model, data, EVAL_BATCH_SIZE, block_size, EVAL_ITERS)

    def batch():
        return get_batch(train_data, config.batch_size, block_size)

    n_evaluations = config.max_iters // config.eval_interval + 1
    return Contestant(plain_step(model, batch, optimizer), evaluate, n_evaluations)


def scaled(preset: Preset, train_data, val_data, device: torch.device, dtype) -> Contestant:
    """Lesson 8's loop on the GPT."""
    config, model = preset.training, GPT(preset.shape, preset.training.dropout).to(device)
    state = TrainingState(model, config, dtype, seed=0)

    def evaluate() -> None:
        with autocast(device, dtype):
            for data in eval_ids(train_data, val_data):
                shared_full_loss(model, data, micro_batch_size(config))

    n_evaluations = config.max_iters // config.eval_interval + 1
    return Contestant(lambda: train_step(model, state, train_data), evaluate, n_evaluations)


@exits_cleanly
def main() -> None:
    parser = Parser(description=__doc__.splitlines()[0])
    parser.add_argument("--presets", nargs="+", default=["small", "cpu"], metavar="PRESET",
                        help="which are timed (default: small and cpu)")  # fmt: skip
    parser.add_argument("--steps", type=FEW, default=50, help="steps timed in each round")
    parser.add_argument("--rounds", type=FEW, default=5, help="the median of these is shown")
    parser.add_argument("--dtype", default="auto", help="of the scaled loop")
    parser.add_argument("--device", help="cpu, cuda or mps (default: CUDA where there is one)")
    args = parser.parse_args()
    device, presets = pick_device(args.device), [find_preset(name) for name in args.presets]
    *data, tokenizer = encode_and_split(load_text())
    print(
        f"{torch.get_num_threads()} threads, {device_name(device)}. ratio: tokens/s against lesson "
        "1's loop. s a run: all steps, and all evaluations of this way."
    )
    for name, preset in zip(args.presets, presets, strict=True):
        preset = replace(preset, shape=replace(preset.shape, vocab_size=tokenizer.vocab_size))
        dtype = pick_dtype(device, preset.shape.n_embd, args.dtype)
        contestants = {
            "lecture's script": lecture(preset, *data, device),
            "lesson 1's loop": plain(preset, *data, device),
            f"scaled, {dtype_name(dtype)}": scaled(preset, *data, device, dtype),
        }
        n_tokens = preset.training.batch_size * preset.shape.block_size
        measured = {key: [] for key in contestants}
        for contestant in contestants.values():
            seconds_per_call(contestant.step, 20, device)  # warm up
        # In turn, so that a slow moment of the machine hits all of them alike.
        for _ in range(args.rounds):
            for key, contestant in contestants.items():
                measured[key].append(seconds_per_call(contestant.step, args.steps, device))
        step = {key: statistics.median(seconds) for key, seconds in measured.items()}
        baseline = step["lesson 1's loop"]
        print(f"\n{name:<20}{'ms a step':>10}{'tokens/s':>10}{'ratio':>7}{'s a run':>10}")
        for key, contestant in contestants.items():
            whole = contestant.seconds(preset.training.max_iters, step[key], device)
            print(f"{key:<20}{1e3 * step[key]:>10.2f}{n_tokens / step[key]:>10,.0f}"
                  f"{baseline / step[key]:>6.2f}x{whole:>10.1f}", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
