"""Steps per second of every rung: the lecture's way of training it, and ours, in one run.

Ours: all heads at once, one gather per batch, fused AdamW, a few large batches per estimate;
alone with all threads, and as `make ladder` does it, two seeds side by side with a thread each.
The lecture's way, with all threads, is in lecture.py. Everything that a run does is included:
estimates, the mean of the weights, the last row.
"""

import argparse
import functools
import multiprocessing
import statistics
from concurrent.futures import ProcessPoolExecutor

from lecture import lecture_batch, lecture_estimate, lecture_model, plain_step
from lessons.arguments import FEW, Parser
from lessons.batches import get_batch
from lessons.corpus import load_text
from lessons.dataset import encode_and_split
from lessons.errors import BadInput, exits_cleanly
from lessons.evaluation import full_loss
from lessons.ladder import RUNGS, Rung, build_model, find_rungs, train_plainly
from lessons.timing import seconds_per_call
from lessons.training import EVAL_BATCH_SIZE, EVAL_ITERS, estimate_loss

import torch
from torch.optim.swa_utils import AveragedModel

LESSON_1 = [rung for rung in RUNGS if rung.train is train_plainly]


class Contestant:
    """One way of training one rung, whose parts can be timed."""

    def __init__(self, rung: Rung, train_data, val_data, vocab_size: int, lecture: bool):
        s = rung.settings
        build = lecture_model if lecture else functools.partial(build_model, seed=0)
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
            s.max_iters * seconds_per_call(self.step, n_steps)
            + s.max_iters / 10 * seconds_per_call(self.average, n_steps)
            + n_estimates * seconds_per_call(self.estimate)
            + seconds_per_call(self.last_row)
        )


@functools.cache
def dataset() -> tuple[torch.Tensor, torch.Tensor, int]:
    """Both splits and vocab_size, read once in each process."""
    train_data, val_data, tokenizer = encode_and_split(load_text())
    return train_data, val_data, tokenizer.vocab_size


def measure(rung: Rung, lecture: bool, threads: int, n_steps: int) -> float:
    """Steps per second of one seed, including its estimates."""
    torch.set_num_threads(threads)
    contestant = Contestant(rung, *dataset(), lecture)
    seconds_per_call(contestant.step, 20)  # warm up
    return rung.settings.max_iters / contestant.seconds_per_seed(n_steps)


def measure_all(rung: Rung, pool, threads: int, args: argparse.Namespace) -> dict[str, float]:
    """Steps per second of the three ways, each the median of some rounds."""
    rates = {"lecture": [], "one": [], "two": []}
    # In turn, so that a slow moment of the machine hits all three alike.
    for _ in range(args.rounds):
        rates["lecture"].append(measure(rung, True, threads, args.steps))
        rates["one"].append(measure(rung, False, threads, args.steps))
        two = [pool.submit(measure, rung, False, 1, args.steps) for _ in range(2)]
        rates["two"].append(sum(future.result() for future in two))
    return {key: statistics.median(values) for key, values in rates.items()}


@exits_cleanly
def main() -> None:
    parser = Parser(description=__doc__.splitlines()[0])
    parser.add_argument("--rungs", nargs="+", default=[r.name for r in LESSON_1], metavar="RUNG",
                        help="which are timed (default: those of lesson 1's loop)")  # fmt: skip
    parser.add_argument("--steps", type=FEW, default=100, help="steps timed in each round")
    parser.add_argument("--rounds", type=FEW, default=3, help="the median of these is shown")
    args = parser.parse_args()
    rungs = find_rungs(args.rungs)
    if not set(rungs) <= set(LESSON_1):
        raise BadInput("A rung trained at scale has a loop of its own: see bench/presets.py.")
    threads = torch.get_num_threads()
    seconds = dict.fromkeys(("lecture", "one", "two"), 0.0)
    print("steps per second, including evaluation; ratios are against the lecture's way")
    print(f"{'rung':<16}{'lecture':>9}{'ours':>9}{'ratio':>7}{'ours, two seeds':>17}{'ratio':>7}")
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, spawn) as pool:
        for future in [pool.submit(measure, rungs[0], False, 1, args.steps) for _ in range(2)]:
            future.result()  # both processes have imported torch before any is timed
        for rung in rungs:
            rate = measure_all(rung, pool, threads, args)
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
