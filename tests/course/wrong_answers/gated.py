"""Lesson 5, exercise 2."""

from wrong_answers import Wrong

import torch
import torch.nn as nn
import torch.nn.functional as F


def gated(combine, width=lambda C: 8 * C // 3):
    """A gated layer whose middle is `combine(gate, up)`."""

    class Gated(nn.Module):
        def __init__(self, n_embd):
            super().__init__()
            self.gate = nn.Linear(n_embd, width(n_embd))
            self.up = nn.Linear(n_embd, width(n_embd))
            self.down = nn.Linear(width(n_embd), n_embd)

        def forward(self, x):
            return self.down(combine(self.gate(x), self.up(x)))

    return Gated


class WithSkip(gated(lambda g, u: F.relu(g) * u)):
    def forward(self, x):
        return x + super().forward(x)


class OtherNames(nn.Module):
    def __init__(self, n_embd):
        super().__init__()
        self.a, self.b = nn.Linear(n_embd, 2 * n_embd), nn.Linear(2 * n_embd, n_embd)

    def forward(self, x):
        return self.b(F.relu(self.a(x)))


def changed(change):
    """A gated layer that is right, until `change(layer, C)` has been at it."""

    class Changed(gated(lambda g, u: F.relu(g) * u)):
        def __init__(self, n_embd):
            super().__init__(n_embd)
            change(self, n_embd)

    return Changed


def forward(make):
    """A gated layer whose forward is `make(layer, x)`."""

    class Made(gated(None)):
        def forward(self, x):
            return make(self, x)

    return Made


def right(layer, x):
    return layer.down(F.relu(layer.gate(x)) * layer.up(x))


def in_use(layer, x):
    return right(layer, x) if layer.training else layer.down(layer.gate(x) * layer.up(x))


def no_grad_in_use(layer, x):
    with torch.set_grad_enabled(layer.training):
        return right(layer, x)


def replaced(layer, C):
    layer.up = layer.gate


def shared_weight(layer, C):
    layer.up.weight = layer.gate.weight


def spare(layer, C):
    layer.spare = nn.Linear(1, 1)


def frozen(layer, C):
    layer.down.requires_grad_(False)


def deep(layer, C):
    layer.gate = nn.Sequential(nn.Linear(C, C), nn.Linear(C, 8 * C // 3))


def narrow_gate(layer, C):
    layer.gate = nn.Linear(C, 1)


def joined(layer, C):
    layer.down = nn.Linear(16 * C // 3, C)


class InAList(gated(None)):
    def __init__(self, n_embd):
        super().__init__(n_embd)
        self.layers = [self.gate, self.up]
        del self.gate, self.up

    gate = property(lambda self: self.layers[0])
    up = property(lambda self: self.layers[1])
    forward = right


class NotALayer(gated(None)):
    def __init__(self, n_embd):
        super().__init__(n_embd)
        weight = self.up.weight.detach()
        del self.up
        self.up = lambda x: x @ weight.T

    forward = right


class OnePerSize(gated(None)):
    made = {}

    def __init__(self, n_embd):
        super().__init__(n_embd)
        self.up = self.made.setdefault(n_embd, self.up)

    forward = right


WRONG = [
    Wrong("GatedFeedForward", {
        "the ReLU bends the wrong branch": gated(lambda g, u: g * F.relu(u)),
        "the ReLU comes after the product": gated(lambda g, u: F.relu(g * u)),
        "the two branches are added": gated(lambda g, u: F.relu(g) + u),
        "nothing bends": gated(lambda g, u: g * u),
        "both branches are bent": gated(lambda g, u: F.relu(g) * F.relu(u)),
        "the gate is a sigmoid": gated(lambda g, u: g.sigmoid() * u),
        "the gate is a GELU": gated(lambda g, u: F.gelu(g) * u),
        "the gate is a SiLU": gated(lambda g, u: F.silu(g) * u),
        "the gate is a LeakyReLU": gated(lambda g, u: F.leaky_relu(g) * u),
        "both factors come from `gate`": gated(lambda g, u: F.relu(g) * g),
        "both factors come from `up`": gated(lambda g, u: F.relu(u) * u),
        "there is no product: `up` is never used": gated(lambda g, u: F.relu(g)),
        "there is no product: `gate` is never used": gated(lambda g, u: F.relu(u)),
        "nothing bends and nothing is multiplied": gated(lambda g, u: u),
        "the end goes through a ReLU too": forward(lambda layer, x: F.relu(right(layer, x))),
        "x is added: that skip": WithSkip,
        "`gate` and `up` are the same layer": changed(replaced),
        "`gate` and `up` share their `weight`": changed(shared_weight),
        "does not find the parameters in `self.layers`: it is a plain list": InAList,
        "`up` has no parameters that PyTorch would train": NotALayer,
        "Two layers made one after the other share `up.weight`": OnePerSize,
        "`spare.weight` has no part in the formula": changed(spare),
        "`down.weight` has `requires_grad=False`": changed(frozen),
        "4 matrices of weights": changed(deep),
        "`gate` makes 1 numbers": changed(narrow_gate),
        "`down` does not take 32 numbers": forward(
            lambda layer, x: (joined(layer, x.shape[-1]), x)[1]),
        "no gradient reaches `gate.weight`": gated(lambda g, u: F.relu(g).detach() * u),
        "no gradient reaches `up.weight`": gated(lambda g, u: F.relu(g) * u.detach()),
        "does something else than after `train()`": forward(in_use),
        "after `eval()`: no gradient reaches": forward(no_grad_in_use),
        "two calls differ": gated(lambda g, u: F.dropout(F.relu(g) * u, 0.1)),
        "about 8C / 3 wide": gated(lambda g, u: F.relu(g) * u, lambda C: 4 * C),
        "has no `self.gate`": OtherNames,
    }),
]  # fmt: skip
