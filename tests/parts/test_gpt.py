"""The GPT: its shape, its block, and what it computes."""

import math

from lessons.errors import BadInput
from lessons.gpt import (
    GPT,
    FusedSelfAttention,
    GPTBlock,
    GPTConfig,
    flops_per_token,
    parameter_count,
)
from lessons.multi_head import CausalSelfAttention
from lessons.normalization import PreNormBlock

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

TINY = GPTConfig(vocab_size=11, block_size=8, n_layer=2, n_head=2, n_embd=16)


@pytest.fixture
def model():
    torch.manual_seed(0)
    return GPT(TINY)


@pytest.mark.parametrize("wrong", [{"n_layer": 0}, {"vocab_size": -1}, {"n_head": 3}])
def test_a_shape_that_cannot_be_is_refused(wrong):
    shape = {"vocab_size": 11, "block_size": 8, "n_layer": 2, "n_head": 2, "n_embd": 16}
    with pytest.raises(BadInput):
        GPTConfig(**shape | wrong)


def test_a_shape_is_frozen():
    with pytest.raises(AttributeError):
        TINY.n_layer = 3


def copy_of(block: PreNormBlock) -> GPTBlock:
    """The GPT's block with the weights of lesson 7's."""
    copy = GPTBlock(TINY, dropout=0.0)
    attn = block.attn
    with torch.no_grad():
        copy.attn.qkv.weight.copy_(
            torch.cat([attn.query.weight, attn.key.weight, attn.value.weight])
        )
    copy.attn.proj = block.proj
    copy.ln_1, copy.ln_2, copy.mlp = block.ln_1, block.ln_2, block.mlp
    return copy


def test_the_block_equals_lesson_7s_pre_norm_block():
    torch.manual_seed(0)
    block = PreNormBlock(16, 2)
    x = torch.randn(3, 8, 16)
    torch.testing.assert_close(copy_of(block)(x), block(x))


def test_the_fused_attention_has_the_parameters_of_lesson_4s_and_the_projection():
    fused, plain = FusedSelfAttention(TINY, 0.0), CausalSelfAttention(16, 2)
    assert parameter_count(fused) == parameter_count(plain) + 16 * 16 + 16


def test_the_future_does_not_change_the_past_of_a_gpt(model):
    idx = torch.randint(11, (1, 8))
    changed = idx.clone()
    changed[0, 5] = (idx[0, 5] + 1) % 11
    before, after = (model.eval()(ids)[0] for ids in (idx, changed))
    torch.testing.assert_close(after[:, :5], before[:, :5])
    assert not torch.allclose(after[:, 5:], before[:, 5:])


def test_a_gpts_first_loss_is_near_log_vocab(model):
    idx = torch.randint(11, (64, 8))
    _, loss = model(idx, torch.randint(11, (64, 8)))
    assert abs(loss.item() - math.log(11)) < 0.5


def test_a_gpt_begins_with_the_spread_that_its_width_and_depth_ask_for():
    torch.manual_seed(0)
    C, n_layer = 96, 8
    model = GPT(GPTConfig(200, 100, n_layer, 2, C, qkv_bias=True))
    for name, p in model.named_parameters():
        if p.dim() < 2:
            gain = ("ln_" in name) and name.endswith("weight")
            assert torch.equal(p, torch.full_like(p, float(gain))), name
            continue
        into_stream = name.endswith(("attn.proj.weight", "mlp.net.2.weight"))
        std = (3 * C) ** -0.5 / ((2 * n_layer) ** 0.5 if into_stream else 1)
        assert p.std().item() == pytest.approx(std, rel=0.05), name
        assert abs(p.mean().item()) < 0.05 * std, name


def test_the_streams_variance_does_not_grow_with_depth():
    def variance(n_layer: int) -> float:
        torch.manual_seed(0)
        deep = GPT(GPTConfig(11, 8, n_layer, 2, 64))
        return deep.body(torch.randn(16, 8, 64)).var().item()

    assert variance(24) < 1.5 * variance(2)


def test_dropout_works_in_training_alone():
    torch.manual_seed(0)
    model, idx = GPT(TINY, dropout=0.5), torch.randint(11, (2, 8))
    assert not torch.equal(model(idx)[0], model(idx)[0])
    model.eval()
    assert torch.equal(model(idx)[0], model(idx)[0])


def test_a_tied_head_is_the_token_embedding():
    model = GPT(GPTConfig(11, 8, 2, 2, 16, tied=True))
    assert model.lm_head.weight is model.token_embedding.weight
    assert model.lm_head.bias is None


def test_flops_are_those_that_pytorch_counts(model):
    idx = torch.randint(11, (4, 8))
    # As separate products, since PyTorch does not count those inside its fused CPU kernel.
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        _, loss = model(idx, idx)
        loss.backward()
    # PyTorch counts matrix products alone, we the biases and gains too.
    vectors = sum(p.numel() for p in model.parameters() if p.dim() < 2)
    assert flops_per_token(model) - 6 * vectors == counter.get_total_flops() / idx.numel()
