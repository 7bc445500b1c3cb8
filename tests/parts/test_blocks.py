"""A block computes what PyTorch's own transformer layer does, and drops out where it says."""

from lessons.feed_forward import FeedForward
from lessons.fused_attention import causal_attention
from lessons.gpt import GPT, FusedSelfAttention, GPTBlock, GPTConfig
from lessons.normalization import PostNormBlock, PreNormBlock
from lessons.residual import ResidualBlock

import pytest
import torch
import torch.nn as nn
import torch.nn.functional as F

C, N_HEAD = 16, 2
SHAPE = GPTConfig(vocab_size=11, block_size=8, n_layer=2, n_head=N_HEAD, n_embd=C)


def pytorchs_own(block: nn.Module, norm_first: bool, activation: str) -> nn.Module:
    """nn.TransformerEncoderLayer with the weights of this block."""
    layer = nn.TransformerEncoderLayer(
        C, N_HEAD, 4 * C, dropout=0.0, activation=activation, norm_first=norm_first,
        batch_first=True,
    )  # fmt: skip
    attn = block.attn
    fused = isinstance(attn, FusedSelfAttention)
    qkv = attn.qkv.weight if fused else [attn.query.weight, attn.key.weight, attn.value.weight]
    with torch.no_grad():
        layer.self_attn.in_proj_weight.copy_(qkv if fused else torch.cat(qkv))
        nn.init.zeros_(layer.self_attn.in_proj_bias)
    layer.self_attn.out_proj = attn.proj if fused else block.proj
    layer.linear1, layer.linear2 = block.mlp.net[0], block.mlp.net[2]
    layer.norm1, layer.norm2 = block.ln_1, block.ln_2
    return layer


@pytest.mark.parametrize(
    ("make", "norm_first", "activation"),
    [
        (lambda: PostNormBlock(C, N_HEAD), False, "relu"),
        (lambda: PreNormBlock(C, N_HEAD), True, "relu"),
        (lambda: GPTBlock(SHAPE, dropout=0.0), True, "gelu"),
    ],
    ids=["post-norm", "pre-norm", "GPT"],
)
def test_a_block_is_pytorchs_own_transformer_layer(make, norm_first, activation):
    torch.manual_seed(0)
    block = make()
    with torch.no_grad():
        for p in block.parameters():
            p.add_(0.1 * torch.randn_like(p))  # gains of 1 and biases of 0 would hide faults
    layer, x = pytorchs_own(block, norm_first, activation), torch.randn(2, 8, C)
    mask = nn.Transformer.generate_square_subsequent_mask(8)
    torch.testing.assert_close(block(x), layer(x, src_mask=mask, is_causal=True))


def test_a_residual_block_adds_what_it_heard_and_then_what_it_makes_of_that():
    torch.manual_seed(0)
    block, x = ResidualBlock(C, N_HEAD), torch.randn(2, 8, C)
    heard = block.proj(block.attn(x))
    torch.testing.assert_close(block(x), x + heard + block.mlp(x + heard))


def test_feed_forward_widens_bends_and_narrows():
    torch.manual_seed(0)
    for activation, bend in ((nn.ReLU, F.relu), (nn.GELU, F.gelu)):
        mlp, x = FeedForward(C, activation), torch.randn(2, 5, C)
        first, _, last = mlp.net
        assert first.weight.shape == (4 * C, C) and last.weight.shape == (C, 4 * C)
        torch.testing.assert_close(mlp(x), last(bend(first(x))))
    assert isinstance(FeedForward(C).net[1], nn.ReLU)


def silent_share(x: torch.Tensor) -> float:
    """The share of entries that are exactly 0."""
    return (x == 0).float().mean().item()


@pytest.mark.parametrize("block", [ResidualBlock, PostNormBlock, PreNormBlock])
@pytest.mark.parametrize("term", ["communicate", "compute"])
def test_a_share_of_what_each_layer_adds_to_the_stream_is_dropped(block, term):
    torch.manual_seed(0)
    block = block(C, N_HEAD, dropout=0.3)
    added = getattr(block, term)
    assert silent_share(added(torch.randn(40, 8, C))) == pytest.approx(0.3, abs=0.03)
    block.eval()
    assert silent_share(added(torch.randn(40, 8, C))) == 0


def test_a_gpt_drops_a_share_of_its_embeddings_and_of_what_each_layer_adds():
    torch.manual_seed(0)
    model, x = GPT(SHAPE, dropout=0.3), torch.randn(40, 8, C)
    dropout, block = model.body[:2]
    before_mlp = []
    block.ln_2.register_forward_pre_hook(lambda _, inputs: before_mlp.append(inputs[0]))
    added = {"embeddings": dropout(x), "attention": block.attn(x)}
    out = block(x)
    added["feed-forward"] = out - before_mlp[0]
    for name, term in added.items():
        assert silent_share(term) == pytest.approx(0.3, abs=0.03), name
    assert silent_share(before_mlp[0] - x) == pytest.approx(0.3, abs=0.03)
    assert silent_share(model.eval().body[0](x)) == silent_share(block.attn(x)) == 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_share_of_the_attention_is_dropped_whole_heads_at_a_time(dtype):
    torch.manual_seed(0)
    q, k, v = torch.randn(3, 500, N_HEAD, 1, 8).to(dtype)  # in bfloat16 some would be 0
    # A lone position looks at itself alone: without that share its head says nothing.
    out = causal_attention(q, k, v, 0.3)
    silent = (out == 0).all(dim=-1).float().mean().item()
    assert silent == pytest.approx(0.3, abs=0.04) and silent == pytest.approx(silent_share(out))
    # Averages are kept: what is left is enlarged.
    said = out != 0
    torch.testing.assert_close(out[said], v.float()[said] / 0.7, rtol=0.01, atol=0.01)
    assert silent_share(causal_attention(q, k, v, 0.0)) == 0


def test_the_gpts_attention_drops_shares_in_training_alone():
    torch.manual_seed(0)
    attn = FusedSelfAttention(SHAPE, dropout=0.3)
    nn.init.eye_(attn.proj.weight)
    nn.init.zeros_(attn.proj.bias)
    heads = attn(torch.randn(800, 1, C)).unflatten(-1, (N_HEAD, -1))
    # A head of eight channels is silent with its share, or, hardly ever, channel by channel.
    assert (heads == 0).all(dim=-1).float().mean() == pytest.approx(0.3, abs=0.04)
    assert silent_share(heads) == pytest.approx(1 - 0.7 * 0.7, abs=0.04)
    assert silent_share(attn.eval()(torch.randn(800, 1, C))) == 0
