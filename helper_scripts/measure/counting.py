"""Measure counting against the small GPT: by order, and by length of the text.

Four records in data/experiments/, each row added as soon as it is measured; what is there is not
measured again. On one thread all of it takes about an hour, most of it the GPTs of the sweep.

- counting_orders: the loss of each way to count, by how many characters it looks back.
- counting_sweep, small_sweep: settings of both by length of the text, tried on its last tenth.
- counting_sizes: both, with the best of these settings, on the validation split. Each seed learns
  from another stretch of the training split: which text it is matters as much as how long it is.
"""

from itertools import product

from counted import WAY, best, counted_loss, trained
from experiment import experiment_parser, measure_missing
from lessons.batches import split
from lessons.corpus import load_text, sha256
from lessons.counting import CountModel, as_numbers
from lessons.dataset import encode_and_split
from lessons.errors import exits_cleanly
from lessons.records import Record

import pandas as pd
import torch

LENGTHS = (10_000, 50_000, 200_000)  # characters, beside all of the training split
ORDERS = range(1, 9)
METHODS = ("add 1", "add the best", "one discount", "Kneser-Ney", "modified Kneser-Ney")
MODELS = ("counting", "gpt")
ADDED = (1.0, 0.1, 0.01, 0.001)
RATES, DROPOUTS, STEPS = (1e-3, 2e-3, 4e-3, 8e-3), (0.0, 0.2), (500, 1500, 5000)


def added_loss(k: float, order: int, data: torch.Tensor, val: torch.Tensor, V: int) -> float:
    """The loss on `val` of (count + k) / (all counts + k V) after `order` characters of `data`."""
    grams, counts = as_numbers(data.unfold(0, order + 1, 1), V).unique(return_counts=True)
    contexts, of_gram = (grams // V).unique(return_inverse=True)
    totals = torch.zeros(len(contexts)).index_add(0, of_gram, counts.float())
    wanted = as_numbers(torch.cat((data[-order:], val)).unfold(0, order + 1, 1), V)

    def look_up(keys: torch.Tensor, values: torch.Tensor, asked: torch.Tensor) -> torch.Tensor:
        place = torch.searchsorted(keys, asked).clamp(max=len(keys) - 1)
        return torch.where(keys[place] == asked, values[place].float(), 0)

    count, total = look_up(grams, counts, wanted), look_up(contexts, totals, wanted // V)
    return -((count + k) / (total + k * V)).log().mean().item()


def one_discount(model: CountModel, data: torch.Tensor | None = None) -> CountModel:
    """The model with a single discount for all counts; with `data`, with plain counts too."""
    for n in range(model.order + 1):
        if data is not None:
            runs = as_numbers(data.unfold(0, n + 1, 1), model.vocab_size)
            model.grams[n], model.counts[n] = runs.unique(return_counts=True)
        n1, n2 = ((model.counts[n] == k).sum().item() for k in (1, 2))
        discount = n1 / (n1 + 2 * n2) if n1 else 0.5
        model.discounts[n] = torch.tensor([0.0, discount, discount, discount])
    return model


def stretch(data: torch.Tensor, n_chars: int, seed: int) -> torch.Tensor:
    """So many characters, from another place for each seed; seed 0's is the beginning."""
    # Multiples of the golden ratio lie evenly, however many there are.
    begin = int(seed * 0.618 % 1 * (len(data) - n_chars))
    return data[begin : begin + n_chars]


def order_loss(method: str, order: int, data: torch.Tensor, val: torch.Tensor, V: int) -> tuple:
    """The loss on `val` of counting by this method, and how many runs it stores."""
    if method.startswith("add"):
        part, rest = split(data)
        tried = ADDED if method == "add the best" else (1.0,)
        best = min(tried, key=lambda k: added_loss(k, order, part, rest, V))
        runs = len(as_numbers(data.unfold(0, order + 1, 1), V).unique())
        return added_loss(best, order, data, val, V), runs
    model = CountModel(data, V, order)
    if method == "Kneser-Ney":
        one_discount(model)
    if method == "one discount":
        one_discount(model, data)
    return counted_loss(model, val, data), sum(len(grams) for grams in model.grams)


@exits_cleanly
def main() -> None:
    args = experiment_parser(__doc__, range(3)).parse_args()
    text = load_text()
    data, val, tokenizer = encode_and_split(text)
    V = tokenizer.vocab_size
    lengths = [*(n for n in LENGTHS if n < len(data)), len(data)]
    steps = (args.max_iters,) if args.max_iters else STEPS

    def record(name: str, keys: list[str], measured: list[str], **more) -> Record:
        setting = {"experiment": name, "text_sha256": sha256(text), **more}
        return Record(args.out, name, setting, keys, keys + measured)

    def measure_order(method: str, order: int) -> list[dict]:
        loss, runs = order_loss(method, order, data, val, V)
        return [{"val_loss": loss, "runs": runs}]

    orders = record("counting_orders", ["method", "order"], ["val_loss", "runs"])
    measure_missing(orders, product(METHODS, ORDERS), measure_order, args.force)

    def measure_counting(n_chars: int, order: int) -> list[dict]:
        part, rest = split(data[:n_chars])
        return [{"loss": counted_loss(CountModel(part, V, order), rest, part)}]

    def measure_way(n_chars: int, *way: float) -> list[dict]:
        part, rest = split(data[:n_chars])
        return [{"loss": trained(part, rest, V, pd.Series(way, WAY), seed=0)[1]}]

    counts = record("counting_sweep", ["n_chars", "order"], ["loss"])
    measure_missing(counts, product(lengths, ORDERS), measure_counting, args.force)
    gpts = record("small_sweep", ["n_chars", *WAY], ["loss"], preset="small")
    runs = product(lengths, RATES, DROPOUTS, steps)
    measure_missing(gpts, runs, measure_way, args.force)

    def measure_size(n_chars: int, model: str, seed: int) -> list[dict]:
        part = stretch(data, n_chars, seed)
        if model == "counting":
            order = int(best(counts.rows(), n_chars).order)
            return [{"val_loss": counted_loss(CountModel(part, V, order), val, data)}]
        way = best(gpts.rows(), n_chars)
        return [{"val_loss": trained(part, val, V, way, seed)[1]}]

    sizes = record("counting_sizes", ["n_chars", "model", "seed"], ["val_loss"], preset="small")
    runs = [(n, model, seed) for model, seed, n in product(MODELS, args.seeds, lengths)]
    measure_missing(sizes, runs, measure_size, args.force)


if __name__ == "__main__":
    main()
