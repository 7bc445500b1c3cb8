"""Plumbing · which device computes: its name, its free memory, and what a record says about it."""

import platform
from pathlib import Path

from lessons.errors import BadInput

import torch


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


def device_name(device: torch.device) -> str:
    """The hardware's own name, as far as the operating system knows it."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def dtype_name(dtype: torch.dtype) -> str:
    """The name of a number format as it stands in records, such as bfloat16."""
    return str(dtype).removeprefix("torch.")


def machine_facts(device: torch.device) -> dict[str, str]:
    """What every record says about the machine: torch's version and the device's name."""
    return {"torch": str(torch.__version__), "device": device_name(device)}


def memory_free(device: torch.device) -> int:
    """How many bytes of memory are free on this device."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device.index)[0]  # torch 2.4 accepts no bare "cuda" here
    # Imported here, because a machine that only measures a GPU can do without the package.
    import psutil

    return psutil.virtual_memory().available
