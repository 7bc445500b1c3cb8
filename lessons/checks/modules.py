"""Plumbing · what every layer must be, whatever it computes: registered, its own, and trainable.

Shapes: B batch, T time (positions), C channels (n_embd).
"""

import copy
from collections.abc import Callable, Iterator

from lessons.checks.compare import as_tensor, call, close, expect, leak, on_each
from lessons.checks.verdict import Mistake

import torch
import torch.nn as nn

Formula = Callable[[nn.Module, torch.Tensor], torch.Tensor]  # (layer, x) -> what it should give
Case = tuple[tuple[int, int, int], Callable[[], nn.Module]]  # the shape of x, how to make a module


def same_as_module(
    answer: Callable, cases: dict[str, Case], mistakes: Callable[..., dict], ahead: str
) -> None:
    """Raise the Mistake that explains `answer(module, x)`, unless it is module(x) in each case.

    `mistakes(module, x)` is what `expect` takes; `ahead` says what to do about any other leak.
    """

    def look(case: str, given: Case) -> None:
        shape, make = given
        generator = torch.Generator().manual_seed(shape[1])
        module = make()
        for p in module.parameters():  # large enough that each mistake shows
            p.data = torch.randn(p.shape, generator=generator)
        x = torch.randn(shape, generator=generator)
        got = call(answer, module, x, case=case)
        try:
            expect(got, module(x), case, mistakes(module, x))
        except Mistake as mistake:
            if not mistake.known:
                leak(lambda value: call(answer, module, value, case=case), x, case, ahead)
            raise

    on_each(cases, look)


def build(answer: Callable, *sizes, case: str) -> nn.Module:
    """A layer of these sizes, with all its parameters where PyTorch finds them."""
    layer, other = (call(answer, *sizes, case=case) for _ in range(2))
    if not isinstance(layer, nn.Module):
        raise Mistake("Derive the class from `nn.Module`, which knows what there is to train.")
    found = {id(p) for p in layer.parameters()}
    for name, value in _hidden(layer):
        if any(id(p) not in found for p in _parameters_in(value)):
            raise Mistake(
                f"PyTorch does not find the parameters in `self.{name}`: {_way_in(value)}"
            )
    for name, p in layer.named_parameters():
        if not p.requires_grad:
            raise Mistake(f"`{name}` has `requires_grad=False`: it would never be trained.")
        if any(p is q for q in other.parameters()):
            raise Mistake(
                f"Two layers made one after the other share `{name}`: make it anew in `__init__`."
            )
    return layer


def _hidden(layer: nn.Module) -> Iterator[tuple[str, object]]:
    """Name and value of what a layer, or a part of it, keeps beside its registered parts."""
    known = {"_parameters", "_modules", "_buffers"}
    for prefix, part in layer.named_modules():
        for name, value in vars(part).items():
            if name not in known:
                yield f"{prefix}.{name}".lstrip("."), value


def _parameters_in(value: object) -> Iterator[torch.Tensor]:
    if isinstance(value, nn.Module):
        yield from value.parameters()
    elif isinstance(value, torch.Tensor) and value.requires_grad and value.is_leaf:
        yield value
    elif isinstance(value, dict | list | tuple):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _parameters_in(item)


def _way_in(value: object) -> str:
    kind = "Dict" if isinstance(value, dict) else "List"
    if isinstance(value, dict | list | tuple):
        return (
            f"it is a plain {type(value).__name__}. Give each layer a name of its own, or use "
            f"`nn.Module{kind}` for layers and `nn.Parameter{kind}` for parameters."
        )
    if isinstance(value, nn.Module):
        return "assign it as `self.name = …` in `__init__`, after `super().__init__()`."
    return "it is a tensor. Make it an `nn.Parameter`."


def output_and_input(
    layer: nn.Module, x: torch.Tensor, case: str
) -> tuple[torch.Tensor, torch.Tensor]:
    """The layer's output, and the copy of x that it got, which wants a gradient."""
    got = []
    hook = layer.register_forward_pre_hook(lambda module, inputs: got.append(inputs[0]))
    before = copy.deepcopy(layer.state_dict())
    modes = [part.training for part in layer.modules()]
    try:
        out = call(layer, x.clone().requires_grad_(), case=case)
    finally:
        hook.remove()
    after = layer.state_dict()
    for name, value in after.items():
        if name not in before:
            raise Mistake(
                f"`{name}` is made in `forward`: make it in `__init__`, or an optimizer that was "
                "built before does not know it."
            )
        if not torch.equal(value, before[name]):
            raise Mistake(f"For {case}: a call changes `{name}`, and should leave it as it was.")
    if [part.training for part in layer.modules()] != modes:
        raise Mistake(f"For {case}: a call changes the mode: leave `train()` and `eval()` alone.")
    if not isinstance(out, torch.Tensor):
        raise Mistake(f"For {case}: it returns {type(out).__name__}, and should return a tensor.")
    return out, got[0]


def steady(layer: nn.Module, x: torch.Tensor, case: str) -> torch.Tensor:
    """The layer's output; raises Mistake if the next call gives another."""
    out, again = (call(layer, x, case=case) for _ in range(2))
    if not close(as_tensor(out, case), as_tensor(again, case)):
        raise Mistake(f"For {case}: two calls differ, and nothing here is left to chance.")
    return out


def sound(layer: nn.Module, x: torch.Tensor, formula: Formula, case: str) -> None:
    """Raise Mistake unless the layer does what `formula` does, in both modes, and can be trained.

    It is known already that a call in training gives the right numbers.
    """
    for training in (True, False):
        layer.train(training)
        which = f"{case}, after `{'train' if training else 'eval'}()`"
        out, leaf = output_and_input(layer, x, which)
        right = formula(layer, leaf)
        if not close(out, right):
            raise Mistake(f"For {which}: it does something else than after `train()`.")
        trainable(layer, leaf, out, right, which)
        used(layer, leaf, right)
    layer.train()


def used(layer: nn.Module, x: torch.Tensor, right: torch.Tensor) -> None:
    """Raise Mistake for a parameter that has no part in `right`."""
    for name, gradient in _gradients(layer, x, right).items():
        if gradient is None:
            raise Mistake(f"`{name}` has no part in the formula: leave it out, it is never used.")


def trainable(
    layer: nn.Module, x: torch.Tensor, out: torch.Tensor, right: torch.Tensor, case: str
) -> None:
    """Raise Mistake unless `out` has the gradients of `right`, for x and for each parameter."""
    expected, got = (_gradients(layer, x, value) for value in (right, out))
    reached = {name: g for name, g in expected.items() if g is not None and g.any()}
    why = "Is something detached, or computed under `no_grad`, with `.data` or `.item()`?"
    for name in reached:
        if got[name] is None or not got[name].any():
            raise Mistake(f"For {case}: no gradient reaches {_goal(name)}. {why}")
    for name, gradient in reached.items():
        if not close(got[name], gradient, atol=1e-4 * gradient.abs().max().item()):
            raise Mistake(f"For {case}: only a part of the gradient reaches {_goal(name)}. {why}")


def _goal(name: str) -> str:
    return "x, and so what stands before this layer" if name == "x" else f"`{name}`"


def _gradients(
    layer: nn.Module, x: torch.Tensor, out: torch.Tensor
) -> dict[str, torch.Tensor | None]:
    """The gradients of one number made of `out`; None for what has no part in it."""
    named = dict(layer.named_parameters()) | {"x": x}
    if not out.requires_grad:
        return dict.fromkeys(named)
    # Different weights for the entries: a plain sum hides what a norm does to the gradient.
    weights = torch.randn(out.shape, generator=torch.Generator().manual_seed(0))
    try:
        found = torch.autograd.grad((out * weights).sum(), [*named.values()], allow_unused=True,
                                    retain_graph=True)  # fmt: skip
    except RuntimeError as error:
        why = str(error).split(":")[0]
        raise Mistake(f"It cannot be trained, for the gradient fails: {why}.") from None
    return dict(zip(named, found, strict=True))
