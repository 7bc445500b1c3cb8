"""Measure what to expect of one's own text: a short or a long one, another one, a larger preset.

A text is used as `make train` uses a file: its own characters are the vocabulary, its last tenth
is the validation split. Each run adds a row to data/experiments/own_text.csv as soon as it ends;
what is there is not run again. On one thread a run takes a minute or two.
"""

from dataclasses import asdict

from experiment import experiment_parser, measure_missing
from lessons.at_scale.loop import train_at_scale
from lessons.bigram import bigram_by_counting
from lessons.corpus import language_reference, load_text, sha256
from lessons.dataset import encode_and_split
from lessons.errors import exits_cleanly
from lessons.evaluation import full_loss
from lessons.ladder import build_gpt
from lessons.presets import PRESETS, Preset
from lessons.records import Record

import torch

SHAKESPEARE, PYTHON = "Tiny Shakespeare", "Python's reference"
EVAL_INTERVAL = 250  # so that a turn of the validation loss is not missed by much
ALL = 2_000_000  # more characters than either text has
# The text, its first so many characters, and the preset.
RUNS = (
    *((SHAKESPEARE, n_chars, "small") for n_chars in (10_000, 30_000, 100_000, 300_000, ALL)),
    (PYTHON, ALL, "small"),
    (SHAKESPEARE, ALL, "cpu"),
)
KEYS = ["text", "n_chars", "preset", "seed"]
MEASURED = ["vocab_size", "count_loss", "best_step", "best_loss", "last_loss"]


def measure(text: str, preset: Preset, seed: int) -> tuple:
    """MEASURED, of a training with this preset; `count_loss` is that of lesson 1's counting."""
    train_data, val_data, tokenizer = encode_and_split(text)
    counted = bigram_by_counting(train_data, tokenizer.vocab_size)
    count_loss = full_loss(counted, val_data, preset.shape.block_size)
    torch.manual_seed(seed)
    model = build_gpt(preset, tokenizer.vocab_size)
    losses = train_at_scale(model, train_data, val_data, preset.training, seed=seed)
    best = losses.loc[losses.val_loss.idxmin()]
    last_loss = losses.val_loss.iloc[-1]
    return tokenizer.vocab_size, count_loss, int(best.step), best.val_loss, last_loss


@exits_cleanly
def main() -> None:
    args = experiment_parser(__doc__, range(3)).parse_args()
    texts = {SHAKESPEARE: load_text(), PYTHON: language_reference()}
    changes = {"eval_interval": EVAL_INTERVAL}
    if args.max_iters:
        changes["max_iters"] = args.max_iters
    presets = {name: PRESETS[name].with_training(**changes) for name in ("small", "cpu")}
    setting = {
        "experiment": "own_text",
        "training": {name: asdict(preset.training) for name, preset in presets.items()},
        "text_sha256": sha256(texts[SHAKESPEARE]),
        "other_text_sha256": sha256(texts[PYTHON]),
    }
    record = Record(args.out, "own_text", setting, KEYS, KEYS + MEASURED)
    runs = [(name, min(n_chars, len(texts[name])), preset, seed)
            for seed in args.seeds for name, n_chars, preset in RUNS]  # fmt: skip

    def measure_run(name: str, n_chars: int, preset: str, seed: int) -> list[dict]:
        measured = measure(texts[name][:n_chars], presets[preset], seed)
        return [dict(zip(MEASURED, measured, strict=True))]

    measure_missing(record, runs, measure_run, args.force)


if __name__ == "__main__":
    main()
