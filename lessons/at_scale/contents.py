"""Plumbing · what a checkpoint must hold so that its run can go on as if it had never stopped."""

import sys
from itertools import pairwise

from lessons.at_scale.description import RunDescription
from lessons.errors import BadInput
from lessons.gpt import GPT
from lessons.optimization import make_optimizer
from lessons.schema import LARGEST

import torch

KEYS = {"step", "rows", "seconds", "model", "optimizer", "scaler", "batch_rng", "rng", "about"}
MOMENTS = {"exp_avg", "exp_avg_sq"}  # AdamW's two means for each weight
SCALER = {"scale", "growth_factor", "backoff_factor", "growth_interval", "_growth_tracker"}
CUDA_STATE = 16  # bytes


def check_contents(checkpoint: object) -> None:
    """Raises BadInput, with what is wrong, unless this is what `TrainingState` and `save` keep.

    A checkpoint that describes no run is checked less: nothing says which weights it should have.
    """
    _need(isinstance(checkpoint, dict) and checkpoint.keys() >= KEYS, "it lacks parts")
    _check_progress(checkpoint["step"], checkpoint["rows"], checkpoint["seconds"])
    _check_random_states(checkpoint["batch_rng"], checkpoint["rng"])
    scaler = checkpoint["scaler"]
    _need(scaler == {} or isinstance(scaler, dict) and scaler.keys() == SCALER
          and all(map(_is_number, scaler.values())), "its scaler is wrong")  # fmt: skip
    if checkpoint["about"] is not None:
        run = RunDescription.from_json(checkpoint["about"])
        model = _check_model(checkpoint["model"], run)
        optimizer = make_optimizer(model, run.training).state_dict()
        _check_optimizer(checkpoint, optimizer, list(model.parameters()))


def _need(holds: bool, problem: str) -> None:
    if not holds:
        raise BadInput(problem)


def _is_number(value: object) -> bool:
    # Compared, for math.isfinite fails for a whole number that is too large for a float.
    return type(value) in (int, float) and 0 <= value <= sys.float_info.max


def _equal(value: object, wanted: object) -> bool:
    """Whether these plain values are equal, in no more steps than `wanted` has parts.

    A tensor in their place has no truth value, and a list that holds itself twice, and so on, has
    no end.
    """
    if type(value) is not type(wanted):
        return False
    if isinstance(wanted, list | tuple):
        return len(value) == len(wanted) and all(map(_equal, value, wanted))
    return value == wanted


def _check_progress(step: object, rows: object, seconds: object) -> None:
    _need(type(step) is int and 0 <= step <= LARGEST, "its step is not a number of steps")
    _need(_is_number(seconds), "its seconds are not a number")
    right = isinstance(rows, list) and all(
        isinstance(row, tuple) and len(row) == 4 and type(row[0]) is int
        and all(map(_is_number, row)) for row in rows
    )  # fmt: skip
    _need(right and bool(rows), "its losses are not rows of four numbers")
    steps = [row[0] for row in rows]
    _need(all(a < b for a, b in pairwise([*steps, step + 1])), "its losses are not in order")


def _check_random_states(batch_rng: object, rng: object) -> None:
    right = isinstance(rng, list) and all(
        isinstance(state, dict) and "cpu" in state for state in rng
    )
    _need(right and bool(rng), "its random states are wrong")
    for state in (batch_rng, *(state["cpu"] for state in rng)):
        try:
            torch.Generator().set_state(state)
        except (RuntimeError, TypeError):
            raise BadInput("its random states are wrong") from None
    for state in (state["cuda"] for state in rng if "cuda" in state):
        right = isinstance(state, torch.Tensor) and state.dtype == torch.uint8
        _need(right and state.shape == (CUDA_STATE,), "its random states are wrong")


def _check_model(saved: object, run: RunDescription) -> GPT:
    """The run's model without numbers, whose weights the saved ones must be like."""
    problem = "its weights are not those of the model that it describes"
    _need(isinstance(saved, dict), problem)
    with torch.device("meta"):
        model = GPT(run.shape)
    wanted = model.state_dict()
    _need(saved.keys() == wanted.keys(), problem)
    for name, weight in wanted.items():
        _need(_is_like(saved[name], weight), problem)
        _need(bool(saved[name].isfinite().all()), "its weights are not all numbers")
    return model


def _is_like(saved: object, wanted: torch.Tensor) -> bool:
    return (
        isinstance(saved, torch.Tensor)
        and (saved.dtype, saved.shape) == (wanted.dtype, wanted.shape)
        and (saved.device.type, saved.layout) == ("cpu", torch.strided)
    )


def _check_optimizer(checkpoint: dict, wanted: dict, weights: list[torch.Tensor]) -> None:
    """The settings must be those of the run, and the means must be like the weights."""
    problem = "its optimizer is not that of the run that it describes"
    saved = checkpoint["optimizer"]
    _need(isinstance(saved, dict) and saved.keys() == wanted.keys(), problem)
    groups, state = saved["param_groups"], saved["state"]
    _need(isinstance(groups, list) and isinstance(state, dict), problem)
    _need(len(groups) == len(wanted["param_groups"]), problem)
    for group, other in zip(groups, wanted["param_groups"], strict=True):
        _need(isinstance(group, dict) and _is_number(group.get("lr")), problem)
        # The rate is set anew at each step. Of the rest, torch's versions know more or fewer.
        known = other | {"lr": group["lr"], "fused": group.get("fused") is True}
        _need(group.keys() >= {"params", "betas", "eps", "weight_decay"}, problem)
        _need(all(_equal(group[name], known[name]) for name in group.keys() & known), problem)
    # A scaler may have skipped every step so far.
    none_yet = not state and (checkpoint["step"] == 0 or checkpoint["scaler"])
    numbers = [number for group in wanted["param_groups"] for number in group["params"]]
    _need(none_yet or state.keys() == set(numbers), problem)
    # Groups are numbered one after the other, so the order is not that of the model.
    in_groups = sorted(weights, key=lambda weight: weight.dim() < 2)
    for number, weight in zip(numbers, in_groups, strict=True) if state else ():
        means = state[number]
        _need(isinstance(means, dict) and means.keys() == MOMENTS | {"step"}, problem)
        _need(all(_is_like(means[name], weight) for name in MOMENTS), problem)
        _need(all(bool(means[name].isfinite().all()) for name in MOMENTS), problem)
        _need(bool((means["exp_avg_sq"] >= 0).all()), problem)
        steps = means["step"]
        _need(_is_like(steps, torch.tensor(0.0)), problem)
        _need(0 <= steps.item() <= checkpoint["step"], problem)
