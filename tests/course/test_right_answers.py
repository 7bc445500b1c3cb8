"""A right answer passes, however it is written."""

import math
import random
import statistics

from lessons import checks
from lessons.feed_forward import FeedForward
from lessons.residual import ResidualBlock

import numpy as np
import pytest
import torch
import torch.nn as nn
import torch.nn.functional as F


class GainOfThreeAxes(nn.Module):
    def __init__(self, n_embd, eps=1e-5):
        super().__init__()
        self.g, self.eps = nn.Parameter(torch.ones(1, 1, n_embd)), eps

    def forward(self, x):
        return self.g * x * torch.rsqrt(x.square().mean(-1, keepdim=True) + self.eps)


class GainInAList(nn.Module):
    def __init__(self, n_embd, eps=1e-5):
        super().__init__()
        self.gains = nn.ParameterList([torch.ones(n_embd)])
        self.register_buffer("eps", torch.tensor(eps))

    def forward(self, x):
        mean_square = torch.einsum("btc,btc->bt", x, x)[..., None] / x.shape[-1]
        return x / (mean_square + self.eps).sqrt() * self.gains[0]


class NormInside(nn.Module):
    def __init__(self, n_embd, eps=1e-5):
        super().__init__()
        self.norm = nn.RMSNorm(n_embd, eps)

    def forward(self, x):
        return self.norm(x)


class ReluInTheGate(nn.Module):
    def __init__(self, n_embd):
        super().__init__()
        h = round(8 / 3 * n_embd)
        self.gate = nn.Sequential(nn.Linear(n_embd, h), nn.ReLU())
        self.up, self.down = nn.Linear(n_embd, h), nn.Linear(h, n_embd)

    def forward(self, x):
        return self.down(self.gate(x) * self.up(x))


class PartsInADict(nn.Module):
    def __init__(self, n_embd):
        super().__init__()
        h = math.ceil(8 * n_embd / 3)
        sizes = {"gate": (n_embd, h), "up": (n_embd, h), "down": (h, n_embd)}
        self.parts = nn.ModuleDict({n: nn.Linear(*s, bias=False) for n, s in sizes.items()})

    def __getattr__(self, name):
        parts = super().__getattr__("parts") if name != "parts" else {}
        return parts[name] if name in parts else super().__getattr__(name)

    def forward(self, x):
        return self.down(self.gate(x).clamp(min=0) * self.up(x))


class FromFeedForward(FeedForward):
    def __init__(self, n_embd):
        super().__init__(n_embd)
        del self.net
        h = 8 * n_embd // 3
        self.gate, self.up = nn.Linear(n_embd, h), nn.Linear(n_embd, h)
        self.down = nn.Linear(h, n_embd)
        self.all = [self.gate, self.up, self.down]  # a second way to what is registered

    def forward(self, x):
        g = self.gate(x)
        return self.down(torch.where(g > 0, g, 0) * self.up(x))


def block_with(keep):
    """A StochasticDepthBlock in which `keep(p)` is 1 with probability p, else 0."""

    class Block(ResidualBlock):
        def __init__(self, n_embd, n_head, drop=0.1):
            super().__init__(n_embd, n_head)
            self.p = 1 - drop

        def forward(self, x):
            for layer in (self.communicate, self.compute):
                x = x + (keep(self.p) if self.training else self.p) * layer(x)
            return x

    return Block


class ThroughSuper(ResidualBlock):
    def __init__(self, n_embd, n_head, drop=0.1):
        super().__init__(n_embd, n_head)
        self.p = 1 - drop

    def factor(self):
        return (torch.rand(()) < self.p).float() if self.training else self.p

    def communicate(self, x):
        return self.factor() * super().communicate(x)

    def compute(self, x):
        return self.factor() * super().compute(x)


class BothAtOnce(ResidualBlock):
    def __init__(self, n_embd, n_head, drop=0.1):
        super().__init__(n_embd, n_head)
        self.drop = drop

    def forward(self, x):
        if not self.training:
            x = x + (1 - self.drop) * self.proj(self.attn(x))
            return x + (1 - self.drop) * self.mlp(x)
        first, second = torch.rand(2) >= self.drop
        if first:
            x = x + self.proj(self.attn(x))
        return x + self.mlp(x) if second else x


class OwnDice(ResidualBlock):
    """Its own generator, seeded by chance: the check cannot know what comes."""

    def __init__(self, n_embd, n_head, drop=0.1):
        super().__init__(n_embd, n_head)
        self.drop, self.dice = drop, random.Random()
        self.steps = [self.communicate, self.compute]

    def forward(self, x):
        for step in self.steps:
            if not self.training:
                x = torch.add(x, step(x), alpha=1 - self.drop)
            elif self.dice.random() >= self.drop:
                x = x + step(x)
        return x


def renormed_head(head, x):
    """Masked after the softmax, and divided by what is left."""
    q, k, v = head.query(x), head.key(x), head.value(x)
    weights = (q @ k.mT / q.shape[-1] ** 0.5).softmax(dim=-1).tril()
    return weights / weights.sum(dim=-1, keepdim=True) @ v


def head_in_numbers(head, x):
    q, k, v = head.query(x), head.key(x), head.value(x)
    out = torch.empty_like(v)
    for b, t in np.ndindex(x.shape[:2]):
        powers = [math.exp((q[b, t] @ k[b, s]).item() / q.shape[-1] ** 0.5) for s in range(t + 1)]
        out[b, t] = sum(p / sum(powers) * v[b, s] for s, p in enumerate(powers))
    return out


def head_after_head(module, x):
    hs = x.shape[2] // module.n_head
    outs = []
    for h in range(module.n_head):
        part = slice(h * hs, (h + 1) * hs)
        q, k, v = (f(x)[..., part] for f in (module.query, module.key, module.value))
        later = torch.full((x.shape[1], x.shape[1]), -1e9).triu(1)
        outs.append((q @ k.mT * hs**-0.5 + later).softmax(dim=-1) @ v)
    return torch.cat(outs, dim=-1)


def by_einsum(module, x):
    q, k, v = (f(x).unflatten(-1, (module.n_head, -1))
               for f in (module.query, module.key, module.value))  # fmt: skip
    scores = torch.einsum("bthd,bshd->bhts", q, k) / q.shape[-1] ** 0.5
    weights = scores.exp().tril()
    weights = weights / weights.sum(dim=-1, keepdim=True)
    return torch.einsum("bhts,bshd->bthd", weights, v).flatten(2)


def running_mean(x):
    means = [x[:, 0]]
    for t in range(1, x.shape[1]):
        means.append(means[-1] + (x[:, t] - means[-1]) / (t + 1))
    return torch.stack(means, dim=1)


def shrinking(weight, steps, rate, decay):
    for _ in range(steps):
        weight = weight - rate * decay * weight
    return weight


RIGHT = [
    ("RMSNorm", GainOfThreeAxes), ("RMSNorm", GainInAList), ("RMSNorm", NormInside),
    ("GatedFeedForward", ReluInTheGate), ("GatedFeedForward", PartsInADict),
    ("GatedFeedForward", FromFeedForward),
    ("StochasticDepthBlock", block_with(lambda p: torch.bernoulli(torch.tensor(p)))),
    ("StochasticDepthBlock", block_with(lambda p: torch.rand(1, 1, 1) < p)),
    ("StochasticDepthBlock", block_with(lambda p: random.random() < p)),
    ("StochasticDepthBlock", block_with(lambda p: np.random.binomial(1, p))),
    ("StochasticDepthBlock", block_with(lambda p: p * F.dropout(torch.ones(1), 1 - p))),
    ("StochasticDepthBlock", ThroughSuper), ("StochasticDepthBlock", BothAtOnce),
    ("StochasticDepthBlock", OwnDice),
    ("head_by_loops", renormed_head), ("head_by_loops", head_in_numbers),
    ("attention_without_einops", head_after_head), ("attention_without_einops", by_einsum),
    ("average_by_cumsum", running_mean),
    ("average_by_cumsum", lambda x: x.cumsum(1) / torch.ones_like(x).cumsum(1)),
    ("average_by_cumsum", lambda x: np.cumsum(x.numpy(), 1) / np.ones(x.shape).cumsum(1)),
    ("band_shares", lambda T: torch.full((T, T), -torch.inf).tril(-2).add(
        torch.full((T, T), -torch.inf).triu(1)).softmax(dim=1)),
    ("relu_unit", lambda: (torch.tensor([[1.0, -1.0, 1.0]]), torch.tensor([-1.0]))),
    ("relu_unit", lambda: [(1, -9, 1), -1]),
    ("layer_norm_row", lambda row: [
        (v - statistics.fmean(row)) / (statistics.pvariance(row) + 1e-5) ** 0.5 for v in row]),
    ("layer_norm_row", lambda row: nn.LayerNorm(len(row))(torch.tensor(row))),
    ("one_query", lambda q, k, v: [F.softmax((k * q).sum(1), 0),
                                   float(F.softmax((k * q).sum(1), 0) @ v)]),
    ("head_sizes", lambda C, nh: (C / nh, 3 * C**2, torch.arange(C)[-(C // nh):])),
    ("perplexity", lambda model, data: np.exp(model(data[None, :-1], data[None, 1:])[1].item())),
    ("likeliest_next", lambda probs, tokenizer, ch, k: [
        [tokenizer.itos[int(i)], probs[tokenizer.stoi[ch], i]]
        for i in (-probs[tokenizer.stoi[ch]]).argsort()[:k]]),
    ("weight_after", shrinking),
    ("weight_after", lambda w, n, rate, decay: w * math.exp(n * math.log1p(-rate * decay))),
]  # fmt: skip


@pytest.mark.parametrize(
    ("exercise", "answer"), RIGHT, ids=[f"{name}-{n}" for n, (name, _) in enumerate(RIGHT)]
)
def test_a_right_answer_passes_however_it_is_written(exercise, answer):
    verdict = getattr(checks, exercise)(answer)
    assert verdict.passed, verdict
