"""Plumbing · where the tensors live."""

import platform
from pathlib import Path

import torch

from lessons.errors import BadInput


def pick_device(name: str | None = None) -> torch.device:
    """The device of this name; without a name, CUDA where there is one, else the CPU.

    Raises BadInput if the name is unknown or this machine has no such device.
    """
    if name is None:
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise BadInput(f"There is no device {name!r}: use cpu, cuda or mps.") from None
    present = {
        "cpu": True,
        "cuda": torch.cuda.is_available() and (device.index or 0) < torch.cuda.device_count(),
        "mps": torch.backends.mps.is_available(),
    }
    if not present.get(device.type, False):
        raise BadInput(f"This machine has no device {name!r} that torch can use: use cpu instead.")
    return device


def synchronize(device: torch.device) -> None:
    """Wait until a GPU has done all that it was asked for; a CPU has already."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def device_name(device: torch.device) -> str:
    """The hardware's own name, as far as the operating system tells it."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
