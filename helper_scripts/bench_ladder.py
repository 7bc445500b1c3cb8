"""Steps per second of every rung: the lecture's way of training it, and ours, in one run.

The lecture's way: a Python list of heads, a loop that stacks every batch from slices, plain
AdamW, two estimates of 200 small batches every 500 steps, all threads. Ours: all heads at
once, one gather per batch, fused AdamW, a few large batches per estimate; alone with all
threads, and as `make ladder` does it, two seeds side by side with a thread each. Everything
that a run does is counted in: estimates, the mean of the weights, the last row.
"""

import argparse
import functools
import multiprocessing
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor

import torch
import torch.nn as nn
from torch.optim.swa_utils import AveragedModel

from lessons.batches import get_batch, split
from lessons.corpus import load_text
from lessons.errors import BadInput, exits_cleanly
from lessons.ladder import RUNGS, Rung, Settings, build_model, find_rungs
from lessons.measuring import evaluation, full_loss
from lessons.multi_head import CausalSelfAttention, MultiHeadAttention
from lessons.tokenizer import CharTokenizer
from lessons.training import EVAL_BATCH_SIZE, EVAL_ITERS, estimate_loss

# The rungs that lesson 1's loop trains.
LESSON_1 = [rung for rung in RUNGS if isinstance(rung.settings, Settings)]


def lecture_model(rung: Rung, vocab_size: int) -> nn.Module:
    """The rung's model with every attention layer as a list of heads."""
    model = build_model(rung, vocab_size, seed=0)
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, CausalSelfAttention):
                s = rung.settings
                setattr(parent, name, MultiHeadAttention(s.n_embd, s.n_head, s.block_size))
    return model


def lecture_batch(data: torch.Tensor, batch_size: int, block_size: int):
    starts = torch.randint(len(data) - block_size, (batch_size,))
    x = torch.stack([data[i : i + block_size] for i in starts])  # (B, T)
    y = torch.stack([data[i + 1 : i + block_size + 1] for i in starts])  # (B, T)
    return x, y


def lecture_estimate(
    model: nn.Module, data: torch.Tensor, batch_size: int, block_size: int
) -> float:
    device, losses = next(model.parameters()).device, torch.zeros(200)
    with evaluation(model):
        for k in range(200):
            xb, yb = lecture_batch(data, batch_size, block_size)
            losses[k] = model(xb.to(device), yb.to(device))[1].item()
    return losses.mean().item()


def timed(work: Callable[[], object], times: int = 1) -> float:
    """Seconds per call."""
    start = time.perf_counter()
    for _ in range(times):
        work()
    return (time.perf_counter() - start) / times


def plain_step(
    model: nn.Module, batch: Callable, optimizer: torch.optim.Optimizer
) -> Callable[[], None]:
    """A step as in lesson 1, with the batches that `batch` draws."""
    device = next(model.parameters()).device

    def step() -> None:
        xb, yb = batch()
        _, loss = model(xb.to(device), yb.to(device))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


class Contestant:
    """One way of training one rung, whose parts can be timed."""

    def __init__(self, rung: Rung, train_data, val_data, vocab_size: int, lecture: bool):
        s = rung.settings
        build = lecture_model if lecture else lambda r, v: build_model(r, v, seed=0)
        self.settings, self.model = s, build(rung, vocab_size)
        batch = lecture_batch if lecture else get_batch
        optimizer = torch.optim.AdamW(self.model.parameters(), s.learning_rate, fused=not lecture)

        def next_batch():
            return batch(train_data, s.batch_size, s.block_size)

        def estimate() -> None:
            for data in (train_data, val_data):
                if lecture:
                    lecture_estimate(self.model, data, s.batch_size, s.block_size)
                else:
                    estimate_loss(self.model, data, EVAL_BATCH_SIZE, s.block_size, EVAL_ITERS)

        def last_row() -> None:
            for data in (train_data, val_data):
                full_loss(self.model, data, s.block_size)

        average = AveragedModel(self.model)
        self.step, self.estimate = plain_step(self.model, next_batch, optimizer), estimate
        self.average = (lambda: None) if lecture else lambda: average.update_parameters(self.model)
        self.last_row = estimate if lecture else last_row

    def seconds_per_seed(self, n_steps: int) -> float:
        """What a whole run would take, from `n_steps` steps, one estimate and one last row."""
        s = self.settings
        n_estimates = -(-s.max_iters // s.eval_interval)
        return (
            s.max_iters * timed(self.step, n_steps)
            + s.max_iters / 10 * timed(self.average, n_steps)
            + n_estimates * timed(self.estimate)
            + timed(self.last_row)
        )


@functools.cache
def splits() -> tuple[torch.Tensor, torch.Tensor, int]:
    text = load_text()
    tokenizer = CharTokenizer(text)
    return *split(torch.tensor(tokenizer.encode(text))), tokenizer.vocab_size


def measure(rung: Rung, lecture: bool, threads: int, n_steps: int) -> float:
    """Steps per second of one seed, its estimates counted in."""
    torch.set_num_threads(threads)
    contestant = Contestant(rung, *splits(), lecture)
    timed(contestant.step, 20)  # warm up
    return rung.settings.max_iters / contestant.seconds_per_seed(n_steps)


@exits_cleanly
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rungs", nargs="+", default=[r.name for r in LESSON_1], metavar="RUNG")
    parser.add_argument("--steps", type=int, default=100, help="steps timed in each round")
    parser.add_argument("--rounds", type=int, default=3, help="the median of these is shown")
    args = parser.parse_args()
    rungs = find_rungs(args.rungs)
    if not set(rungs) <= set(LESSON_1):
        raise BadInput("Rung 8 has a loop of its own: measure it with bench_scaling.py.")
    threads = torch.get_num_threads()
    seconds = dict.fromkeys(("lecture", "one", "two"), 0.0)
    print("steps per second, evaluation counted in; a ratio is against the lecture's way")
    print(f"{'rung':<16}{'lecture':>9}{'ours':>9}{'ratio':>7}{'ours, two seeds':>17}{'ratio':>7}")
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, spawn) as pool:
        for future in [pool.submit(measure, rungs[0], False, 1, args.steps) for _ in range(2)]:
            future.result()  # both processes have imported torch before any is timed
        for rung in rungs:
            rates = {key: [] for key in seconds}
            # Turn about, so that a slow moment of the machine hits all three alike.
            for _ in range(args.rounds):
                rates["lecture"].append(measure(rung, True, threads, args.steps))
                rates["one"].append(measure(rung, False, threads, args.steps))
                two = [pool.submit(measure, rung, False, 1, args.steps) for _ in range(2)]
                rates["two"].append(sum(future.result() for future in two))
            rate = {key: statistics.median(values) for key, values in rates.items()}
            for key in seconds:
                seconds[key] += rung.settings.max_iters / rate[key]
            print(f"{rung.title:<16}{rate['lecture']:>9.0f}{rate['one']:>9.0f}"
                  f"{rate['one'] / rate['lecture']:>6.1f}x{rate['two']:>17.0f}"
                  f"{rate['two'] / rate['lecture']:>6.1f}x", flush=True)  # fmt: skip
    print(f"{'seconds a seed':<16}{seconds['lecture']:>9.1f}{seconds['one']:>9.1f}"
          f"{seconds['lecture'] / seconds['one']:>6.1f}x{seconds['two']:>17.1f}"
          f"{seconds['lecture'] / seconds['two']:>6.1f}x")  # fmt: skip


if __name__ == "__main__":
    main()
