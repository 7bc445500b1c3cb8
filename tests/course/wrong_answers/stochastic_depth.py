"""Lesson 6, exercise 2."""

from lessons.residual import ResidualBlock
from wrong_answers import Wrong

import torch
import torch.nn as nn


def happens(p):
    return (torch.rand(()) < p).item()


class Block(ResidualBlock):
    """Right; the wrong ones below each change a part of it."""

    def __init__(self, n_embd, n_head, drop=0.1):
        super().__init__(n_embd, n_head)
        self.drop = drop

    def keeps(self):
        return not happens(self.drop)

    def training_step(self, x, layer):
        return x + layer(x) if self.keeps() else x

    def use(self, x, layer):
        return x + (1 - self.drop) * layer(x)

    def forward(self, x):
        step = self.training_step if self.training else self.use
        return step(step(x, self.communicate), self.compute)


class WholeInUse(Block):
    def use(self, x, layer):
        return x + layer(x)


class TimesDrop(Block):
    def use(self, x, layer):
        return x + self.drop * layer(x)


class SkipTooInUse(Block):
    def use(self, x, layer):
        return (1 - self.drop) * (x + layer(x))


class NoSkipInUse(Block):
    def use(self, x, layer):
        return (1 - self.drop) * layer(x)


class OneSmallerInUse(Block):
    def use(self, x, layer):
        return super().use(x, layer) if layer == self.communicate else x + layer(x)


class OtherSmallerInUse(Block):
    def use(self, x, layer):
        return super().use(x, layer) if layer == self.compute else x + layer(x)


class BothFromX(Block):
    def forward(self, x):
        if self.training:
            return super().forward(x)
        return x + (1 - self.drop) * (self.communicate(x) + self.compute(x))


class FixedInUse(Block):
    def use(self, x, layer):
        return x + 0.9 * layer(x)


class FixedInTraining(Block):
    def keeps(self):
        return not happens(0.25)


class SecondWrongWayRound(Block):
    def training_step(self, x, layer):
        keeps = self.keeps() if layer == self.communicate else not self.keeps()
        return x + layer(x) if keeps else x


class SequencesDropped(Block):
    def training_step(self, x, layer):
        return x + (torch.rand(len(x), 1, 1) >= self.drop) * layer(x)


class RandomInUse(Block):
    def use(self, x, layer):
        return self.training_step(x, layer)


class EntriesDropped(Block):
    def training_step(self, x, layer):
        return x + nn.functional.dropout(layer(x), self.drop)


class SkipLeftOut(Block):
    def training_step(self, x, layer):
        return x + layer(x) if self.keeps() else torch.zeros_like(x)


class OneDraw(Block):
    def forward(self, x):
        if self.training and not self.keeps():
            return x
        self_keeps, self.keeps = self.keeps, lambda: True
        out = super().forward(x)
        self.keeps = self_keeps
        return out


class WrongWayRound(Block):
    def keeps(self):
        return happens(self.drop)


class Halved(Block):
    def training_step(self, x, layer):
        return x + 0.5 * layer(x) if self.keeps() else x


class Enlarged(Block):
    def training_step(self, x, layer):
        return x + layer(x) / (1 - self.drop) if self.keeps() else x


class PositionsDropped(Block):
    def training_step(self, x, layer):
        return x + (torch.rand(1, x.shape[1], 1) >= self.drop) * layer(x)


class FromXInTraining(Block):
    def forward(self, x):
        if not self.training:
            return super().forward(x)
        return self.training_step(x, self.communicate) + self.training_step(x, self.compute) - x


class Never(Block):
    def keeps(self):
        return True


class Always(Block):
    def keeps(self):
        return False


class SecondNever(Block):
    def training_step(self, x, layer):
        return super().training_step(x, layer) if layer == self.communicate else x + layer(x)


class EndsEarly(Block):
    def forward(self, x):
        if not self.training:
            return super().forward(x)
        return self.training_step(x + self.communicate(x), self.compute) if self.keeps() else x


class HalfAsOften(Block):
    def keeps(self):
        return not happens(self.drop / 2)


class OneNumberForBoth(Block):
    """The second addition is decided by 1 minus the number that decided the first."""

    def forward(self, x):
        if not self.training:
            return super().forward(x)
        number = torch.rand(()).item()
        x = x + self.communicate(x) if number >= self.drop else x
        return x + self.compute(x) if 1 - number >= self.drop else x


class DividedInUse(Block):
    def use(self, x, layer):
        return x + layer(x) / (1 - self.drop)


class LeftOutInUse(Block):
    def use(self, x, layer):
        return x


class WholeResultInUse(Block):
    def forward(self, x):
        return super().forward(x) if self.training else (1 - self.drop) * self.whole(x)

    def whole(self, x):
        x = x + self.communicate(x)
        return x + self.compute(x)


class OtherOrder(Block):
    def forward(self, x):
        step = self.training_step if self.training else self.use
        return step(step(x, self.compute), self.communicate)


class DetachedAddition(Block):
    def training_step(self, x, layer):
        return x + layer(x).detach() if self.keeps() else x


class DetachedFeedForwardInUse(Block):
    def use(self, x, layer):
        added = layer(x) if layer == self.communicate else layer(x).detach()
        return x + (1 - self.drop) * added


class NotDerived(nn.Module):
    def __init__(self, n_embd, n_head, drop=0.1):
        super().__init__()


WRONG = [
    Wrong("StochasticDepthBlock", {
        "both additions are kept whole": WholeInUse,
        "multiplied by drop, and": TimesDrop,
        "the skip is scaled down too": SkipTooInUse,
        "In `eval()` two calls differ": RandomInUse,
        "the skip is missing": NoSkipInUse,
        "only the first of the two": OneSmallerInUse,
        "only the second of the two": OtherSmallerInUse,
        "in use, drop = 0.4: the second addition is computed from x": BothFromX,
        "multiplied by 0.9, whatever drop is": FixedInUse,
        "is the probability a fixed number": FixedInTraining,
        "With drop = 0 the feed-forward layer is always left out": SecondWrongWayRound,
        "With drop = 0 attention is always left out": WrongWayRound,
        "each sequence has a throw of its own": SequencesDropped,
        "each position has a throw of its own": PositionsDropped,
        "single entries of what attention adds": EntriesDropped,
        "the skip is left out, and x itself": SkipLeftOut,
        "the additions are scaled down: that of attention is multiplied by 0.5": Halved,
        "the additions are enlarged": Enlarged,
        "In training the second addition is computed from x": FromXInTraining,
        "nothing is ever left out": Never,
        "both are always left out": Always,
        "the feed-forward layer is never left out": SecondNever,
        "Where attention is left out, the feed-forward layer is too": EndsEarly,
        "draw a random number for each": OneDraw,
        "attention is kept in": HalfAsOften,
        "a random number may decide only one of them": OneNumberForBoth,
        "are divided by 1 - drop: multiply": DividedInUse,
        "both additions are left out": LeftOutInUse,
        "the result is scaled down": WholeResultInUse,
        "`compute` comes first": OtherOrder,
        "no gradient reaches `attn.query.weight`": DetachedAddition,
        "no gradient reaches `mlp.net.0.weight`": DetachedFeedForwardInUse,
        "Derive the class from `ResidualBlock`": NotDerived,
    }),
]  # fmt: skip
