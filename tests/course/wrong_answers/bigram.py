"""Lesson 1."""

import math

from lessons.batches import get_batch
from lessons.bigram import BigramLanguageModel
from lessons.evaluation import full_loss
from wrong_answers import Wrong

import pandas as pd
import torch


def followers(ids, values, tokenizer):
    return [(tokenizer.itos[i], v) for i, v in zip(ids.tolist(), values.tolist(), strict=True)]


def best(probs, tokenizer, ch, k):
    values, ids = probs[tokenizer.stoi[ch]].topk(k)
    return followers(ids, values, tokenizer)


def column(probs, tokenizer, ch, k):
    values, ids = probs[:, tokenizer.stoi[ch]].topk(k)
    return followers(ids, values, tokenizer)


def least_likely(probs, tokenizer, ch, k):
    values, ids = probs[tokenizer.stoi[ch]].sort()
    return followers(ids[:k], values[:k], tokenizer)


def ids_for_characters(probs, tokenizer, ch, k):
    values, ids = probs[tokenizer.stoi[ch]].topk(k)
    return list(zip(ids.tolist(), values.tolist(), strict=True))


def always_two(probs, tokenizer, ch, k):
    values, ids = probs[tokenizer.stoi[ch]].topk(2)
    return followers(ids, values, tokenizer)


def unsorted_row(probs, tokenizer, ch, k):
    row = probs[tokenizer.stoi[ch]]
    return followers(torch.arange(k), row[:k], tokenizer)


def only_characters(probs, tokenizer, ch, k):
    return [tokenizer.itos[i] for i in probs[tokenizer.stoi[ch]].topk(k).indices.tolist()]


def random_batches(model, data):
    losses = [model(*get_batch(data, 4, 2))[1].item() for _ in range(3)]
    return math.exp(sum(losses) / 3)


def mean_of_powers(model, data):
    log_probs = model(data[None, :-1])[0].log_softmax(dim=-1)[0]
    return (-log_probs[torch.arange(len(data) - 1), data[1:]]).exp().mean().item()


def last_ones_left_out(model, data):
    n = (len(data) - 1) // 8 * 8
    if n == 0:  # three characters and five tokens
        return math.exp(full_loss(model, data, 1))
    return math.exp(full_loss(model, data[: n + 1], 8))


def left_in_eval_mode(model, data):
    model.eval()
    return math.exp(full_loss(model, data, 1))


V = 5
TRAIN = torch.randint(V, (1000,), generator=torch.Generator().manual_seed(0))
VAL = torch.randint(V, (300,), generator=torch.Generator().manual_seed(1))


def table(
    learn=(TRAIN, TRAIN), test=(TRAIN, VAL), below=True, joint=False, bigram=False
) -> pd.DataFrame:
    """The trigram's losses by plain loops."""
    rows = []
    for smoothing in (1, 0.1, 0.01):
        losses = []
        for taught, asked in zip(learn, test, strict=True):
            counts = torch.zeros(V, V, V)
            for a, b, c in zip(taught, taught[1:], taught[2:], strict=False):
                counts[a, b, c] += 1
            if bigram:
                counts = counts.sum(dim=0, keepdim=True).expand_as(counts)
            smoothed = counts + smoothing
            under = (smoothed if below else counts).sum(dim=-1, keepdim=True)
            probs = smoothed / (smoothed.sum() if joint else under.clamp(min=1))
            triples = list(zip(asked, asked[1:], asked[2:], strict=False))
            losses.append(sum(-probs[t].log().item() for t in triples) / len(triples))
        rows.append((smoothing, *losses))
    return pd.DataFrame(rows, columns=["smoothing", "train_loss", "val_loss"])


RIGHT = table()

WRONG = [
    Wrong("likeliest_next", {
        "this is the column, not the row": column,
        "the least likely ones": least_likely,
        "is not a character: use `tokenizer.itos`": ids_for_characters,
        "there are 2 pairs, and k is 1": always_two,
        "(character, probability), in this order": lambda *args: [(p, c) for c, p in best(*args)],
        "these are logarithms": lambda *args: [(c, math.log(p)) for c, p in best(*args)],
        "these are percentages": lambda *args: [(c, 100 * p) for c, p in best(*args)],
        "the probabilities are those of the column": lambda probs, tokenizer, ch, k: [
            (c, probs[:, tokenizer.stoi[ch]][tokenizer.stoi[c]].item())
            for c, _ in best(probs, tokenizer, ch, k)],
        "you get ('c', 'c'), and it should be": lambda probs, tokenizer, ch, k: [("c", 0.5)] * k,
        "sort it by probability": unsorted_row,
        "return a list of pairs": only_characters,
    }),
    Wrong("perplexity", {
        "that is the loss itself": lambda model, data: full_loss(model, data, 1),
        "2 to the power of the loss": lambda model, data: 2 ** full_loss(model, data, 1),
        "minus the loss is a probability": lambda model, data: math.exp(-full_loss(model, data, 1)),
        "the targets are the inputs themselves": lambda model, data: model(
            data[None], data[None])[1].exp().item(),
        "it looks at random batches": random_batches,
        "the mean of 1/p": mean_of_powers,
        "the last tokens are left out": last_ones_left_out,
        "leave a model in the mode": left_in_eval_mode,
        "you get 65, and it should be": lambda model, data: 65.0,
    }),
    Wrong("smoothing_experiment", {
        "two columns are swapped": RIGHT.rename(
            columns={"train_loss": "val_loss", "val_loss": "train_loss"}),
        "counts of its own split": table(learn=(TRAIN, VAL)),
        "the number of all triples": table(joint=True),
        "added to the numerator alone": table(below=False),
        "`train_loss` is in bits": RIGHT.assign(
            train_loss=RIGHT.train_loss / math.log(2), val_loss=RIGHT.val_loss / math.log(2)),
        "these are the losses of a bigram": table(bigram=True),
        "`train_loss` is to the base 10": RIGHT.assign(
            train_loss=RIGHT.train_loss / math.log(10), val_loss=RIGHT.val_loss / math.log(10)),
        "`train_loss` has the wrong sign": RIGHT.assign(
            train_loss=-RIGHT.train_loss, val_loss=-RIGHT.val_loss),
        "`train_loss` is a perplexity": RIGHT.assign(
            train_loss=RIGHT.train_loss.map(math.exp), val_loss=RIGHT.val_loss.map(math.exp)),
        "has 0 rows for smoothing 0.01": RIGHT[:2],
        "has 2 rows for smoothing 1,": pd.concat([RIGHT, RIGHT[:1]]),
        "has 0 columns named `val_loss`": RIGHT.drop(columns="val_loss"),
        "Return a pandas DataFrame": RIGHT.values.tolist(),
    }, facts=(TRAIN, VAL, V), right=RIGHT),
]  # fmt: skip

assert BigramLanguageModel(3).training  # else `left_in_eval_mode` would change nothing
