"""Half precision: what it changes, and which dtype a device gets."""

from lessons.at_scale.precision import autocast, pick_dtype
from lessons.errors import BadInput
from lessons.gpt import GPT, GPTConfig

import pytest
import torch

CPU = torch.device("cpu")


def test_half_precision_changes_logits_a_little():
    torch.manual_seed(0)
    model = GPT(GPTConfig(11, 8, 2, 2, 16))
    idx = torch.randint(11, (2, 8))
    with autocast(CPU, torch.bfloat16):
        half, loss = model(idx, idx)
    full, _ = model(idx)
    assert half.dtype == torch.bfloat16 and loss.dtype == torch.float32
    torch.testing.assert_close(half.float(), full, atol=0.05, rtol=0.05)
    assert not torch.equal(half.float(), full)


def test_a_dtype_that_the_device_cannot_do_is_refused():
    with pytest.raises(BadInput, match="float16 needs a CUDA device"):
        pick_dtype(CPU, 64, "float16")
    with pytest.raises(BadInput, match="no dtype 'int8'"):
        pick_dtype(CPU, 64, "int8")
    assert pick_dtype(CPU, 64) == torch.float32


@pytest.mark.parametrize(
    ("capability", "dtype"), [((7, 5), torch.float16), ((8, 0), torch.bfloat16)]
)
def test_older_gpus_get_float16_and_newer_ones_bfloat16(monkeypatch, capability, dtype):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert pick_dtype(torch.device("cuda"), 64) == dtype


def test_a_cpu_with_bfloat16_units_uses_them_where_the_model_is_wide(monkeypatch):
    for native, wide in ((True, torch.bfloat16), (False, torch.float32)):
        # An older torch cannot be asked, and does not have this function.
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda native=native: native,
                            raising=False)  # fmt: skip
        assert [pick_dtype(CPU, n_embd) for n_embd in (127, 128)] == [torch.float32, wide]
        assert pick_dtype(torch.device("mps"), 1024) == torch.float32
        assert pick_dtype(CPU, 64, "bfloat16") == torch.bfloat16
    monkeypatch.delattr(torch.cpu, "_is_avx512_bf16_supported")
    assert pick_dtype(CPU, 128) == torch.float32


def test_products_are_computed_in_the_dtype_asked_for_and_float32_stays_what_it_is():
    x = torch.randn(2, 2)
    for dtype in (torch.float32, torch.bfloat16, torch.float16):
        with autocast(CPU, dtype):
            assert (x @ x).dtype == dtype
