"""Measure what the mean of the last weights is worth: the last weights' loss beside the mean's.

Each run of a rung of lesson 1's loop adds a row to data/experiments/polyak.csv as soon as it ends;
what is there is not run again. On one thread a seed of all seven rungs takes two minutes.
"""

from itertools import product

from experiment import experiment_parser, measure_missing
from lessons.corpus import load_text, sha256
from lessons.dataset import encode_and_split
from lessons.errors import exits_cleanly
from lessons.evaluation import full_loss
from lessons.ladder import RUNGS, Rung, build_model, train_plainly
from lessons.records import Record

from tqdm import tqdm

# The other rungs have a loop of their own, which makes no mean.
AVERAGED = {rung.stem: rung for rung in RUNGS if rung.train is train_plainly}
KEYS, MEASURED = ["rung", "seed"], ["last_weights", "their_mean"]


class LastWeights(tqdm):
    """A bar that calls `measure` after the last step, when the mean has not come in yet."""

    def __init__(self, measure, **how):
        super().__init__(**how)
        self.measure, self.steps = measure, 0

    def update(self, n: int = 1) -> bool | None:
        self.steps += n  # a bar that is switched off does not count
        if self.steps == self.total:
            self.loss = self.measure()
        return super().update(n)


def both_losses(rung: Rung, text: str, seed: int) -> tuple[float, float]:
    """The validation loss of the last weights and that of their mean, of one training."""
    train_data, val_data, tokenizer = encode_and_split(text)
    model, settings = build_model(rung, tokenizer.vocab_size, seed), rung.settings
    bar = LastWeights(lambda: full_loss(model, val_data, settings.block_size), unit="step",
                      total=settings.max_iters, leave=False, desc=rung.title)  # fmt: skip
    losses = rung.train(model, train_data, val_data, settings, seed, bar)
    return bar.loss, losses.val_loss.iloc[-1]


@exits_cleanly
def main() -> None:
    args = experiment_parser(__doc__, range(5)).parse_args()
    text, rungs = load_text(), AVERAGED
    if args.max_iters:
        rungs = {stem: rung.shortened(max_iters=args.max_iters) for stem, rung in rungs.items()}
    steps = {stem: rung.settings.max_iters for stem, rung in rungs.items()}
    setting = {"experiment": "polyak", "max_iters": steps, "text_sha256": sha256(text)}
    record = Record(args.out, "polyak", setting, KEYS, KEYS + MEASURED, sort_by=KEYS,
                    float_format="%.5f")  # fmt: skip
    runs = [(stem, seed) for seed, stem in product(args.seeds, rungs)]

    def measure(stem: str, seed: int) -> list[dict]:
        return [dict(zip(MEASURED, both_losses(rungs[stem], text, seed), strict=True))]

    measure_missing(record, runs, measure, args.force)


if __name__ == "__main__":
    main()
