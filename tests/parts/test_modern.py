"""The parts of today's GPTs, each against a plain specification or PyTorch's own."""

from dataclasses import replace

from lessons.errors import BadInput
from lessons.gpt import parameter_count
from lessons.modern.extras import TokenShift, shift_tokens
from lessons.modern.gated_mlp import GatedMLP, SquaredReLUMLP
from lessons.modern.grouped_query import GroupedQueryAttention
from lessons.modern.model import ModernConfig, ModernGPT
from lessons.modern.muon import A, B, C, Muon, orthogonalise
from lessons.modern.quick import quicken
from lessons.modern.rms_norm import RMSNorm
from lessons.modern.rotary import Rotary
from lessons.multi_head import CausalSelfAttention

import pytest
import torch
import torch.nn as nn
import torch.nn.functional as F

SHAPE = ModernConfig(vocab_size=11, block_size=12, n_layer=2, n_head=6, n_group=2, n_embd=24,
                     n_hidden=40)  # fmt: skip
SMOLLM2_135M = ModernConfig(
    vocab_size=49152, block_size=2048, n_layer=30, n_head=9, n_group=3, n_embd=576, n_hidden=1536,
    rope_base=100_000.0, tied=True,
)  # fmt: skip


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(1)


def test_turned_scores_depend_on_the_distance_alone():
    turn, q, k = Rotary(8, 20), torch.randn(8), torch.randn(8)
    turned_q, turned_k = turn(q.expand(20, 8)), turn(k.expand(20, 8))
    scores = turned_q @ turned_k.T  # (20, 20)
    for distance in range(-19, 20):
        same = scores.diagonal(distance)
        torch.testing.assert_close(same, same[:1].expand(len(same)), atol=1e-5, rtol=1e-5)
    assert scores[0].std() > 0.1


def test_turning_changes_no_length_and_nothing_at_place_0():
    x = torch.randn(2, 3, 5, 8)
    turned = Rotary(8, 5)(x)
    torch.testing.assert_close(turned.norm(dim=-1), x.norm(dim=-1))
    assert torch.equal(turned[:, :, 0], x[:, :, 0])


def test_the_first_pair_turns_by_one_radian_per_place_and_the_last_slowest():
    x = torch.zeros(3, 8)
    x[:, 0] = x[:, 3] = 1
    turned = Rotary(8, 3, base=100.0)(x)
    places = torch.arange(3.0)
    torch.testing.assert_close(turned[:, 0], places.cos())
    torch.testing.assert_close(turned[:, 4], places.sin())
    torch.testing.assert_close(turned[:, 7], (places * 100 ** (-6 / 8)).sin())


def test_an_odd_head_size_cannot_be_turned():
    with pytest.raises(BadInput, match="head size is 7.*even"):
        Rotary(7, 4)


def test_rms_norm_is_pytorchs_own():
    ours, theirs, x = RMSNorm(24), nn.RMSNorm(24, eps=1e-5), 5 * torch.randn(2, 3, 24)
    for norm in (ours, theirs):
        nn.init.constant_(norm.weight, 3.0)
    torch.testing.assert_close(ours(x), theirs(x))


def test_the_feed_forward_layers_are_their_formulas():
    x = torch.randn(2, 3, 24)
    gated, squared = GatedMLP(24, 40), SquaredReLUMLP(24, 40)
    g, u = gated.gate(x), gated.up(x)
    torch.testing.assert_close(gated(x), gated.down(g * g.sigmoid() * u))
    torch.testing.assert_close(squared(x), squared.down(squared.up(x).clamp(min=0) ** 2))


def test_with_as_many_groups_as_heads_it_is_lesson_4s_attention():
    x, plain = torch.randn(2, 7, 24), CausalSelfAttention(24, 4)
    grouped = GroupedQueryAttention(24, 4, 4, rotary=None)
    grouped.load_state_dict(plain.state_dict() | {"proj.weight": torch.eye(24)})
    torch.testing.assert_close(grouped(x), plain(x))


def test_the_heads_of_a_group_share_its_key_and_value():
    x, grouped = torch.randn(2, 7, 24), GroupedQueryAttention(24, 6, 2, rotary=None)
    whole = GroupedQueryAttention(24, 6, 6, rotary=None)
    weights = grouped.state_dict()
    for name in ("key.weight", "value.weight"):
        first, second = weights[name].chunk(2)
        weights[name] = torch.cat([first] * 3 + [second] * 3)
    whole.load_state_dict(weights)
    torch.testing.assert_close(grouped(x), whole(x))


def test_normed_queries_make_attention_blind_to_their_size():
    x = torch.randn(2, 7, 24)
    for qk_norm, blind in ((True, True), (False, False)):
        attn = GroupedQueryAttention(24, 4, 4, Rotary(6, 7), qk_norm)
        before = attn(x)
        with torch.no_grad():
            attn.query.weight.mul_(100)
        assert torch.allclose(attn(x), before, atol=1e-4) == blind


@pytest.mark.parametrize(("n_head", "n_group", "problem"), [(6, 4, "dealt"), (5, 5, "shared")])
def test_heads_that_cannot_be_dealt_evenly_are_refused(n_head, n_group, problem):
    with pytest.raises(BadInput, match=problem):
        replace(SHAPE, n_head=n_head, n_group=n_group)


@pytest.mark.parametrize("shape", [(4, 4), (4, 9), (9, 4)])
def test_newton_schulz_keeps_directions_and_brings_lengths_near_one(shape):
    matrices = torch.randn(3, *shape)
    flat = orthogonalise(matrices)
    u, s, vh = torch.linalg.svd(matrices, full_matrices=False)
    lengths = (u.mT @ flat @ vh.mT).diagonal(dim1=-2, dim2=-1)
    large = s > 0.05 * s.amax(dim=-1, keepdim=True)
    assert (lengths[large] > 0.6).all() and (lengths[large] < 1.3).all()
    torch.testing.assert_close(flat, u @ torch.diag_embed(lengths) @ vh, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(orthogonalise(matrices[1:2])[0], flat[1], atol=1e-5, rtol=1e-5)


def test_the_gathered_polynomial_is_the_iteration_on_the_matrix_itself():
    x = matrix = torch.randn(4, 7)
    x = x / x.norm()
    for _ in range(5):
        square = x @ x.T
        x = A * x + (B * square + C * square @ square) @ x
    torch.testing.assert_close(orthogonalise(matrix[None])[0], x, atol=1e-5, rtol=1e-5)


def test_a_matrix_in_blocks_of_rows_moves_as_if_each_block_were_a_matrix():
    gradient = torch.randn(6, 5)
    whole = nn.Parameter(torch.zeros(6, 5))
    parts = [nn.Parameter(torch.zeros(2, 5)) for _ in range(3)]
    whole.grad = gradient
    for part, its_gradient in zip(parts, gradient.split(2), strict=True):
        part.grad = its_gradient
    Muon([whole], rows=2).step()
    Muon(parts).step()
    torch.testing.assert_close(whole, torch.cat([*parts]))
    with pytest.raises(BadInput, match="6 rows cannot be cut into blocks of 4: choose"):
        Muon([whole], rows=4)


def test_muon_takes_steps_of_equal_size_whatever_the_gradient():
    for scale in (1e-4, 1e4):
        p = nn.Parameter(torch.zeros(6, 6))
        p.grad = scale * torch.linalg.qr(torch.randn(6, 6))[0]
        Muon([p], lr=0.1).step()
        sizes = torch.linalg.svdvals(p.detach())
        assert (sizes > 0.06).all() and (sizes < 0.13).all()
        assert (p * p.grad).sum() < 0


def test_muon_averages_gradients():
    torch.manual_seed(2)
    p, gradient = nn.Parameter(torch.zeros(6, 6)), torch.randn(6, 6)
    muon = Muon([p], lr=0.1)
    for sign in (1, 1, 1, -0.01):  # the last alone would lead back
        p.grad = sign * gradient
        before = p.detach().clone()
        muon.step()
    assert ((p - before) * gradient).sum() < 0


@pytest.mark.parametrize("tensor", [torch.zeros(3), torch.zeros(2, 3, 4)])
def test_muon_refuses_what_is_no_matrix(tensor):
    with pytest.raises(BadInput, match="matrices alone"):
        Muon([torch.zeros(2, 2), tensor])


def test_the_future_does_not_change_the_past():
    model, idx = ModernGPT(SHAPE), torch.randint(11, (2, 12))
    changed = idx.clone()
    changed[:, 7:] = (idx[:, 7:] + 1) % 11
    torch.testing.assert_close(model(idx)[0][:, :7], model(changed)[0][:, :7])


def test_a_token_shift_brings_half_of_the_channels_from_the_position_before():
    x = torch.arange(1.0, 13).view(1, 3, 4)
    expected = [[[1, 2, 0, 0], [5, 6, 3, 4], [9, 10, 7, 8]]]
    assert TokenShift()(x).tolist() == expected


def test_shifted_tokens_hear_the_past_and_never_the_future():
    model, idx = ModernGPT(SHAPE), torch.randint(11, (1, 8))
    whole = parameter_count(model)
    shift_tokens(model)
    assert parameter_count(model) == whole
    other = idx.clone()
    other[0, 4] = (idx[0, 4] + 1) % 11
    changed = (model(idx)[0] - model(other)[0]).abs().amax(-1)[0] > 1e-6
    assert changed.tolist() == [False] * 4 + [True] * 4


def test_quick_parts_compute_the_same_and_learn_the_same():
    idx = torch.randint(11, (2, 13))
    results = []
    for quick in (False, True):
        torch.manual_seed(1)
        model = ModernGPT(replace(SHAPE, qk_norm=True))
        for norm in (model.ln_f, model.body[0].ln_1, model.body[1].ln_2):
            nn.init.uniform_(norm.weight)
        if quick:
            quicken(model)
            assert not any(isinstance(m, RMSNorm | nn.RMSNorm) for m in model.modules())
        logits, loss = model(idx[:, :10], idx[:, 1:11])  # less than the whole context
        loss.backward()
        slopes = {name: p.grad for name, p in model.named_parameters()}
        results.append((logits, slopes))
    (logits, slopes), (quick_logits, quick_slopes) = results
    torch.testing.assert_close(quick_logits, logits)
    assert slopes.keys() == quick_slopes.keys()
    for name, slope in slopes.items():
        torch.testing.assert_close(quick_slopes[name], slope, atol=1e-6, rtol=1e-4)


def test_the_order_of_the_past_matters():
    model, idx = ModernGPT(SHAPE), torch.arange(8)[None]
    exchanged = idx[:, [1, 0, *range(2, 8)]]
    assert not torch.allclose(model(idx)[0][:, -1], model(exchanged)[0][:, -1], atol=1e-4)


def test_a_context_that_is_too_long_is_refused():
    with pytest.raises(BadInput, match="13 tokens do not fit a context of 12"):
        ModernGPT(SHAPE)(torch.zeros(1, 13, dtype=torch.int64))


def test_the_loss_is_the_cross_entropy_of_the_logits():
    model, idx = ModernGPT(SHAPE), torch.randint(11, (2, 12))
    logits, loss = model(idx[:, :-1], idx[:, 1:])
    torch.testing.assert_close(loss, F.cross_entropy(logits.flatten(0, 1), idx[:, 1:].flatten()))


def test_it_describes_smollm2_to_the_last_parameter():
    with torch.device("meta"):
        assert parameter_count(ModernGPT(SMOLLM2_135M)) == 134_515_008
