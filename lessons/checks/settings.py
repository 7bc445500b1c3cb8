"""Plumbing · what an answer may set for the whole process is put back after it."""

import gc
import logging
import os
import random
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import numpy as np
import pandas as pd
import torch
import torch.utils.deterministic

Setting = tuple[Callable[[], object], Callable[[object], object]]  # how to read it, how to set it


def _attribute(owner: object, name: str) -> Setting:
    return lambda: getattr(owner, name), lambda value: setattr(owner, name, value)


def _content(owner: object, name: str) -> Setting:
    """A list or dict of the process: which one it is, and what it holds."""

    def _read() -> tuple:
        held = getattr(owner, name)
        return held, list(held) if isinstance(held, list) else dict(held)

    def _put(old: tuple) -> None:
        setattr(owner, name, old[0])
        old[0].clear()
        old[0].extend(old[1]) if isinstance(old[1], list) else old[0].update(old[1])

    return _read, _put


def _put_device(device: torch.device) -> None:
    torch.set_default_device(None if device.type == "cpu" else device)


def _deterministic() -> tuple:
    return (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
    )


def _anomaly() -> tuple:
    return torch.is_anomaly_enabled(), torch.is_anomaly_check_nan_enabled()


# What changes results: put back after each call, or a check's own computations would change too.
ARITHMETIC: list[Setting] = [
    (torch.get_default_dtype, torch.set_default_dtype),
    (torch.get_default_device, _put_device),
    (torch.is_grad_enabled, torch.set_grad_enabled),
    (_deterministic, lambda on: torch.use_deterministic_algorithms(on[0], warn_only=on[1])),
    (_anomaly, lambda on: torch.autograd.set_detect_anomaly(on[0], check_nan=on[1])),
    (torch.get_num_threads, torch.set_num_threads),
    (torch.get_float32_matmul_precision, torch.set_float32_matmul_precision),
    (lambda: torch.is_autocast_enabled("cpu"), lambda on: torch.set_autocast_enabled("cpu", on)),
    (torch.backends.cuda.flash_sdp_enabled, torch.backends.cuda.enable_flash_sdp),
    (torch.backends.cuda.mem_efficient_sdp_enabled, torch.backends.cuda.enable_mem_efficient_sdp),
    (torch.backends.cuda.math_sdp_enabled, torch.backends.cuda.enable_math_sdp),
    (lambda: torch.backends.mkldnn.enabled, torch.backends.mkldnn.set_flags),
    _attribute(torch.utils.deterministic, "fill_uninitialized_memory"),
    _attribute(torch.backends.cudnn, "benchmark"),
    _attribute(torch.backends.cudnn, "deterministic"),
    (np.geterr, lambda old: np.seterr(**old)),
]


def _pandas_options(options: dict = pd.options.d, before: str = "") -> dict[str, object]:
    found = {}
    for name, value in options.items():
        inner = isinstance(value, dict)
        found |= _pandas_options(value, f"{before}{name}.") if inner else {before + name: value}
    return found


def _put_pandas_options(old: dict[str, object]) -> None:
    now = _pandas_options()
    for name in old:
        if now[name] is not old[name]:
            pd.set_option(name, old[name])


def _style() -> dict:
    """Matplotlib's settings, if a notebook draws."""
    drawing = sys.modules.get("matplotlib")
    return drawing.rcParams if drawing else {}


# What the notebook's later cells would show or do in another way.
ELSEWHERE: list[Setting] = [
    _content(torch._tensor_str.PRINT_OPTS, "__dict__"),
    (np.get_printoptions, lambda old: np.set_printoptions(**old)),
    (_pandas_options, _put_pandas_options),
    _content(warnings, "filters"),
    _attribute(warnings, "showwarning"),
    _attribute(logging.root.manager, "disable"),
    (logging.root.getEffectiveLevel, logging.root.setLevel),
    (lambda: dict.copy(_style()), lambda old: dict.update(_style(), old)),
    _attribute(sys, "stdout"),
    _attribute(sys, "stderr"),
    _content(sys, "path"),
    _content(os, "environ"),
    (os.getcwd, os.chdir),
    (sys.getrecursionlimit, sys.setrecursionlimit),
    (gc.isenabled, lambda on: gc.enable() if on else gc.disable()),
]


@contextmanager
def put_back(settings: list[Setting]) -> Iterator[list[str]]:
    """Read the settings, and afterwards set those again that have changed, each by itself.

    Yields a list that then says what went wrong with those that cannot be set again.
    """
    before, lost = [], []
    for read, put in settings:
        with suppress(Exception):  # a folder that is gone already, say: nothing is known of it
            before.append((read, put, read()))
    try:
        yield lost
    finally:
        for read, put, old in before:
            try:
                if not _still(read, old):
                    put(old)
            except Exception as error:
                lost.append(f"{type(error).__name__}: {error}")


def _still(read: Callable[[], object], old: object) -> bool:
    """Whether a setting is what it was; what cannot be read or compared is not."""
    try:
        return bool(read() == old)
    except Exception:
        return False


@contextmanager
def own_random_state() -> Iterator[None]:
    """Seed the global random states for an answer, then put the notebook's back.

    Those of GPUs too, if there are any in use: `torch.manual_seed` in an answer sets them all.
    """
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    on_gpus = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else None
    random.seed(1337)
    np.random.seed(1337)
    torch.random.default_generator.manual_seed(1337)
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])
        if on_gpus is not None:
            torch.cuda.set_rng_state_all(on_gpus)
