"""Measure where counting and the small GPT differ: kinds of characters, mixing, copying.

Three records in data/experiments/, each seed added as soon as it is measured. The GPT is trained
as `counting.py` found best, which must have run; a seed takes two minutes on one thread.

- counting_kinds: the loss of both and of their mixture by kind of character.
- counting_mixture: the share of the GPT in it, chosen on the last tenth of the training split.
- counting_copies: the longest stretch that samples of each have in common with the training text,
  and for comparison passages of the validation text, which nobody copied.
"""

import math
import re
from itertools import product

from counted import WAY, best, trained
from experiment import experiment_parser, measure_missing
from lessons.batches import split
from lessons.corpus import load_text, sha256
from lessons.counting import CountModel, log_shares
from lessons.dataset import encode_and_split
from lessons.errors import exits_cleanly
from lessons.evaluation import token_losses
from lessons.files import read_csv
from lessons.gpt import GPT
from lessons.records import Record
from lessons.sampling import generate

import pandas as pd
import torch
import torch.nn as nn

MODELS = ("gpt", "counting", "mixture")
SHARES = [n / 20 for n in range(1, 20)]  # of the GPT in the mixture
SAMPLES, LENGTH = 20, 1000  # samples of each model, and their characters
# Of each character, the last kind that fits.
KINDS = {
    "space or mark": r"[^A-Za-z]",
    "inside a word": r"[A-Za-z]",
    "first letter of a word": r"(?<![A-Za-z'])[A-Za-z]",
    "line break": r"\n",
    "first of a line": r"(?m)^[^\n]",
    "speaker's name": r"(?m)^[A-Z][A-Za-z ]*:$",
}


def kinds_of(text: str) -> list[str]:
    """The kind of each character."""
    kinds = [""] * len(text)
    for kind, pattern in KINDS.items():
        for found in re.finditer(pattern, text):
            kinds[found.start() : found.end()] = [kind] * (found.end() - found.start())
    return kinds


def both_log_shares(
    gpt: GPT, counts: CountModel, val: torch.Tensor, before: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """The log-share of each character of `val` but the first, by GPT and by counting, (N - 1,)."""
    by_counting = log_shares(counts, val[1:], torch.cat((before, val[:1])))
    return -token_losses(gpt, val, gpt.block_size), by_counting


def mixed(by_gpt: torch.Tensor, by_counting: torch.Tensor, share: float) -> torch.Tensor:
    """Log-shares of a mixture with this share of the GPT, (N,)."""
    return torch.logaddexp(by_gpt + math.log(share), by_counting + math.log1p(-share))


def longest_copy(sample: str, text: str) -> int:
    """The length of the longest stretch of `sample` that stands in `text`."""
    longest = 0
    for start in range(len(sample)):
        while start + longest < len(sample) and sample[start : start + longest + 1] in text:
            longest += 1
    return longest


def passages(val: torch.Tensor, seed: int) -> list[list[int]]:
    """SAMPLES passages of LENGTH characters, each seed's behind those of the seed before."""
    return val.unfold(0, LENGTH, LENGTH)[seed * SAMPLES : (seed + 1) * SAMPLES].tolist()


def samples(writer: nn.Module, prompt: list[int], seed: int) -> list[list[int]]:
    """SAMPLES samples of LENGTH characters, without the prompt."""
    torch.manual_seed(seed)
    prompts = torch.tensor([prompt]).expand(SAMPLES, -1)
    return generate(writer, prompts, LENGTH)[:, len(prompt) :].tolist()


@exits_cleanly
def main() -> None:
    args = experiment_parser(__doc__, range(3)).parse_args()
    text = load_text()
    data, val, tokenizer = encode_and_split(text)
    V, written = tokenizer.vocab_size, tokenizer.decode(data.tolist())
    way = best(read_csv(args.out / "small_sweep.csv", ["n_chars", "loss"]), len(data))
    orders = read_csv(args.out / "counting_sweep.csv", ["n_chars", "loss"])
    order = int(best(orders, len(data)).order)
    if args.max_iters:
        way.max_iters = args.max_iters
    part, rest = split(data)
    kinds = pd.Series(kinds_of(tokenizer.decode(val.tolist()))[1:])
    counts, gpts = CountModel(data, V, order), {}

    def gpt_of(seed: int) -> GPT:
        if seed not in gpts:  # each record needs it
            gpts.clear()
            gpts[seed] = trained(data, val, V, way, seed)[0]
        return gpts[seed]

    def losses_on_val(seed: int, share: float) -> pd.DataFrame:
        """Of every character but the first, by each of MODELS."""
        both = both_log_shares(gpt_of(seed), counts, val, data)
        each = zip(MODELS, (*both, mixed(*both, share)), strict=True)
        return pd.DataFrame({name: -logs.numpy() for name, logs in each})

    def record(name: str, keys: list[str], measured: list[str]) -> Record:
        setting = {"experiment": name, "preset": "small", "order": order,
                   "hyperparameters": way[WAY].to_dict(), "text_sha256": sha256(text)}  # fmt: skip
        return Record(args.out, name, setting, keys, keys + measured)

    def choose_share(seed: int) -> list[dict]:
        gpt = trained(part, rest, V, way, seed)[0]
        shares = both_log_shares(gpt, CountModel(part, V, order), rest, part)
        losses = {share: -mixed(*shares, share).mean().item() for share in SHARES}
        share = min(losses, key=losses.get)
        return [{"gpt_share": share} | losses_on_val(seed, share).mean().to_dict()]

    shares = record("counting_mixture", ["seed"], ["gpt_share", *MODELS])
    measure_missing(shares, [(seed,) for seed in args.seeds], choose_share, args.force)

    def losses_by_kind(seed: int) -> list[dict]:
        share = shares.rows().set_index("seed").gpt_share[seed]
        means = losses_on_val(seed, share).groupby(kinds).mean()
        means = means.assign(characters=kinds.value_counts())
        return means.rename_axis("kind").reset_index().to_dict("records")

    by_kind = record("counting_kinds", ["seed"], ["kind", "characters", *MODELS])
    measure_missing(by_kind, [(seed,) for seed in args.seeds], losses_by_kind, args.force)

    def copies(model: str, seed: int) -> list[dict]:
        if model == "validation text":
            texts = passages(val, seed)
        else:
            writer = counts if model == "counting" else gpt_of(seed)
            texts = samples(writer, tokenizer.encode("\n"), seed)
        return [{"sample": n, "longest": longest_copy(tokenizer.decode(ids), written)}
                for n, ids in enumerate(texts)]  # fmt: skip

    longest = record("counting_copies", ["model", "seed"], ["sample", "longest"])
    writers = ("counting", "gpt", "validation text")
    measure_missing(longest, product(writers, args.seeds), copies, args.force)


if __name__ == "__main__":
    main()
