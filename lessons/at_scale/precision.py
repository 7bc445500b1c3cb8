"""Plumbing · half precision where the device is faster in it."""

from lessons.errors import BadInput

import torch

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def pick_dtype(device: torch.device, n_embd: int, name: str = "auto") -> torch.dtype:
    """The number format for matrix products: the one of this name, or the best for the device.

    "auto" is bfloat16 where the device computes in it natively: two bytes, with the range of
    float32 and fewer digits. Older GPUs get float16, which has more digits, but is so short of
    small numbers that gradients must be scaled up. Everything else gets float32. Raises BadInput
    for what the device cannot do.
    """
    if name not in ("auto", *DTYPES):
        raise BadInput(f"There is no dtype {name!r}: choose auto, {', '.join(DTYPES)}.")
    if name == "float16" and device.type != "cuda":
        raise BadInput(f"float16 needs a CUDA device, and this is {device.type}: use bfloat16.")
    if name != "auto":
        return DTYPES[name]
    if device.type == "cuda":
        # Compute capability 8 is Ampere, the first generation with bfloat16 units.
        native = torch.cuda.get_device_capability(device) >= (8, 0)
        return torch.bfloat16 if native else torch.float16
    # On CPUs with bfloat16 units narrow models lose more to the casts than they gain.
    # An older torch cannot be asked, and gets float32.
    ask = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    native = device.type == "cpu" and ask()
    return torch.bfloat16 if native and n_embd >= 128 else torch.float32


def autocast(device: torch.device, dtype: torch.dtype) -> torch.autocast:
    """In a `with` block of this, PyTorch computes matrix products in `dtype`.

    Weights stay float32, and so does what needs the digits: the loss, and on a GPU norms too.
    Micikevicius et al., Mixed Precision Training, 2018.
    """
    return torch.autocast(device.type, dtype, enabled=dtype != torch.float32)
