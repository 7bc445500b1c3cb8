import math

from lessons.attention import Head
from lessons.averaging import (
    average_by_einops,
    average_by_loops,
    average_by_matrix_product,
    average_by_softmax,
)
from lessons.batches import split
from lessons.bigram import BigramLanguageModel, bigram_by_counting
from lessons.corpus import is_tiny_shakespeare, load_text
from lessons.errors import BadInput
from lessons.evaluation import full_loss
from lessons.feed_forward import FeedForward
from lessons.ladder import build_model, find_rungs
from lessons.language_model import LanguageModel
from lessons.multi_head import CausalSelfAttention, MultiHeadAttention, all_at_once
from lessons.normalization import LayerNorm, PostNormBlock, PreNormBlock
from lessons.residual import ResidualBlock
from lessons.tokenizer import CharTokenizer
from lessons.training import train

import pytest
import torch
import torch.nn as nn
import torch.nn.functional as F

V, B, T = 65, 4, 8


def ids(seed: int = 0) -> torch.Tensor:
    return torch.randint(V, (B, T), generator=torch.Generator().manual_seed(seed))


def stirred(rung) -> nn.Module:
    """The rung's model with noise on every weight: the bigram's zeros would hide a leak."""
    model = build_model(rung, V, seed=0).eval()
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.1 * torch.randn_like(p))
    return model


def test_logits_and_loss_have_the_promised_shapes(rung):
    model = build_model(rung, V, seed=0)
    logits, loss = model(ids(), ids(1))
    assert logits.shape == (B, T, V) and loss.shape == ()
    logits, loss = model(ids()[:, :3])
    assert logits.shape == (B, 3, V) and loss is None


def test_a_model_tells_as_many_characters_apart_as_its_text_has(rung):
    assert build_model(rung, 28, seed=0)(ids() % 28)[0].shape == (B, T, 28)


def test_the_future_does_not_change_the_past(rung):
    model = stirred(rung)
    idx = ids()
    for t in range(1, T):
        changed = idx.clone()
        changed[:, t:] = (idx[:, t:] + 1) % V
        before, after = model(idx)[0], model(changed)[0]
        assert torch.equal(before[:, :t], after[:, :t])
        assert not torch.equal(before[:, t:], after[:, t:])


def test_the_past_changes_the_present_from_the_second_rung_on(rung):
    model = stirred(rung)
    idx = ids()
    changed = idx.clone()
    changed[:, 0] = (idx[:, 0] + 1) % V
    same = torch.equal(model(idx)[0][:, -1], model(changed)[0][:, -1])
    assert same == (rung.number == 1)


def test_order_matters_from_the_second_rung_on(rung):
    model = stirred(rung)
    idx = torch.tensor([[1, 2, 3]])
    swapped = torch.tensor([[2, 1, 3]])
    same = torch.allclose(model(idx)[0][:, -1], model(swapped)[0][:, -1], atol=1e-6)
    assert same == (rung.number == 1)


def test_initial_loss_is_near_log_vocab(rung):
    _, loss = build_model(rung, V, seed=0)(ids(), ids(1))
    assert abs(loss.item() - math.log(V)) < 0.5


def test_one_batch_can_be_overfit(rung):
    # Eight distinct characters, so that even the bigram can know each next one.
    x = torch.arange(8)[None]
    y = (x + 1) % 8
    model = build_model(rung, V, seed=0)
    settings = getattr(rung.settings, "training", rung.settings)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3 * settings.learning_rate, fused=True)
    for _ in range(500):
        _, loss = model(x, y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    # A lone head gets stuck with a few positions that share one answer, ln 2 / 8 for each.
    assert loss.item() < (0.4 if rung.name == "single_head" else 0.05)


def test_every_parameter_gets_a_gradient(rung):
    model = build_model(rung, V, seed=0)
    model(ids(), ids(1))[1].backward()
    assert all(p.grad is not None and p.grad.any() for p in model.parameters())


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(rung):
    weights = [torch.cat([p.flatten() for p in build_model(rung, V, seed).parameters()])
               for seed in (3, 3, 4)]  # fmt: skip
    assert torch.equal(weights[0], weights[1])
    # The bigram begins with zeros, whatever the seed.
    assert torch.equal(weights[0], weights[2]) == (rung.number == 1)


def test_the_two_embeddings_begin_with_half_of_the_variance_each():
    torch.manual_seed(0)
    model = LanguageModel(vocab_size=500, n_embd=64, block_size=400, body=nn.Identity())
    for embedding in (model.token_embedding, model.position_embedding):
        assert embedding.weight.var().item() == pytest.approx(0.5, rel=0.03)
        assert abs(embedding.weight.mean().item()) < 0.02


def test_a_frame_with_a_final_norm_uses_it_last():
    torch.manual_seed(0)
    model = LanguageModel(V, 16, T, nn.Linear(16, 16), nn.LayerNorm(16))
    idx, targets = ids()[:, :5], ids(1)[:, :5]  # shorter than the context
    stream = model.token_embedding(idx) + model.position_embedding(torch.arange(5))
    expected = model.lm_head(F.layer_norm(model.body(stream), (16,)))
    logits, loss = model(idx, targets)
    torch.testing.assert_close(logits, expected)
    torch.testing.assert_close(loss, F.cross_entropy(expected.transpose(1, 2), targets))


def test_a_text_longer_than_the_context_is_refused():
    model = build_model(find_rungs(["pre_norm"])[0], V, seed=0)
    with pytest.raises(BadInput, match="9 tokens do not fit a context of 8"):
        model(torch.zeros(1, 9, dtype=torch.long))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("B, T, C", [(1, 1, 1), (2, 5, 3), (3, 16, 8)])
def test_four_averages_are_equal(B, T, C, dtype):
    x = torch.randn(B, T, C, generator=torch.Generator().manual_seed(0), dtype=dtype)
    expected = average_by_loops(x)
    assert torch.equal(expected[:, 0], x[:, 0])
    for average in (average_by_matrix_product, average_by_softmax, average_by_einops):
        torch.testing.assert_close(average(x), expected)


def test_a_head_equals_scaled_dot_product_attention():
    torch.manual_seed(0)
    head, x = Head(16, 4, 8), torch.randn(2, 6, 16)
    expected = F.scaled_dot_product_attention(
        head.query(x), head.key(x), head.value(x), is_causal=True
    )
    torch.testing.assert_close(head(x), expected)


@pytest.mark.parametrize("n_head", [1, 2, 4])
def test_all_heads_at_once_equal_the_list_of_heads(n_head):
    torch.manual_seed(0)
    heads, x = MultiHeadAttention(16, n_head, 8), torch.randn(3, 7, 16)
    torch.testing.assert_close(all_at_once(heads)(x), heads(x))


@pytest.mark.parametrize(
    "make", [lambda: MultiHeadAttention(10, 4, 8), lambda: CausalSelfAttention(10, 4)]
)
def test_channels_that_heads_cannot_share_are_refused(make):
    with pytest.raises(BadInput, match="n_embd=10 .* n_head=4"):
        make()


def test_layer_norm_equals_pytorch():
    torch.manual_seed(0)
    ours, theirs = LayerNorm(16), nn.LayerNorm(16)
    with torch.no_grad():
        ours.weight.copy_(torch.randn(16))
        ours.bias.copy_(torch.randn(16))
    theirs.load_state_dict(ours.state_dict())
    x = 3 * torch.randn(2, 5, 16) + 1
    torch.testing.assert_close(ours(x), theirs(x))


@pytest.mark.parametrize("eps", [{}, {"eps": 0.1}])
def test_the_eps_of_layer_norm_stands_under_the_root(eps):
    torch.manual_seed(0)
    # So small that eps decides how long the normed position is.
    x = 1e-3 * torch.randn(2, 5, 16)
    torch.testing.assert_close(LayerNorm(16, **eps)(x), nn.LayerNorm(16, **eps)(x))


def test_layer_norm_treats_each_position_alone():
    torch.manual_seed(0)
    x = torch.randn(2, 5, 16)
    torch.testing.assert_close(LayerNorm(16)(x)[1:, 2:3], LayerNorm(16)(x[1:, 2:3]))


def test_feed_forward_treats_each_position_alone():
    torch.manual_seed(0)
    mlp, x = FeedForward(16), torch.randn(2, 5, 16)
    torch.testing.assert_close(mlp(x)[1:, 2:3], mlp(x[1:, 2:3]))


@pytest.mark.parametrize("block", [ResidualBlock, PreNormBlock])
def test_a_block_whose_layers_are_silent_passes_the_stream_on(block):
    torch.manual_seed(0)
    silent = block(16, 4)
    for last in (silent.proj, silent.mlp.net[-1]):
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
    x = torch.randn(2, 5, 16)
    assert torch.equal(silent(x), x)


def test_post_norm_leaves_a_normed_stream_and_pre_norm_a_raw_one():
    torch.manual_seed(0)
    x = 5 * torch.randn(2, 5, 16)
    spread = {
        block: block(16, 4)(x).std(dim=-1, unbiased=False)
        for block in (PostNormBlock, PreNormBlock)
    }
    torch.testing.assert_close(spread[PostNormBlock], torch.ones(2, 5), atol=1e-3, rtol=0)
    assert (spread[PreNormBlock] > 2).all()


def test_dropout_is_off_while_evaluating():
    torch.manual_seed(0)
    block, x = PreNormBlock(16, 4, dropout=0.5), torch.randn(2, 5, 16)
    assert not torch.equal(block(x), block(x))
    block.eval()
    assert torch.equal(block(x), block(x))


def test_counting_is_the_floor_that_training_comes_down_to(data):
    n_vocab = int(data.max()) + 1
    floor = full_loss(bigram_by_counting(data, n_vocab, smoothing=0), data, 8)
    model = BigramLanguageModel(n_vocab)
    losses = train(
        model, data, data, batch_size=32, block_size=8, max_iters=400, learning_rate=0.05
    )
    assert floor <= losses.train_loss.iloc[-1] < floor + 0.02


def test_counting_pairs_gives_the_loss_that_the_ladder_is_measured_against():
    text = load_text()
    if not is_tiny_shakespeare(text):
        pytest.skip("Tiny Shakespeare is not here")
    tokenizer = CharTokenizer(text)
    train_data, val_data = split(torch.tensor(tokenizer.encode(text)))
    counted = bigram_by_counting(train_data, tokenizer.vocab_size)
    assert round(full_loss(counted, val_data, 8), 3) == 2.482


def test_counting_gives_the_frequencies():
    model = bigram_by_counting(torch.tensor([0, 1, 0, 1, 0, 0]), 2, smoothing=0)
    probs = model.token_embedding.weight.exp()
    torch.testing.assert_close(probs, torch.tensor([[1 / 3, 2 / 3], [1.0, 0.0]]))
