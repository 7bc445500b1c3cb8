"""Lesson 2's model: all characters so far vote, by shares that are fixed or learned."""

from lessons.averaging import AveragingLanguageModel, average_by_loops

import pytest
import torch
import torch.nn.functional as F

V, T = 11, 8


@pytest.fixture
def model():
    """One that has learned something: zeros would hide a leak."""
    torch.manual_seed(0)
    model = AveragingLanguageModel(V, T, learn=True)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(torch.randn_like(p))
    return model


@pytest.fixture
def idx():
    return torch.randint(V, (3, T), generator=torch.Generator().manual_seed(0))


def test_the_future_has_no_vote(model, idx):
    for t in range(1, T):
        changed = idx.clone()
        changed[:, t:] = (idx[:, t:] + 1) % V
        before, after = model(idx)[0], model(changed)[0]
        torch.testing.assert_close(after[:, :t], before[:, :t])
        assert not torch.allclose(after[:, t:], before[:, t:])


def test_the_learned_shares_are_a_softmax_over_the_past(model, idx):
    for n in (1, 3, T):
        shares = model.shares(n)
        expected = torch.zeros(n, n)
        for t in range(n):
            expected[t, : t + 1] = F.softmax(model.scores[t, : t + 1], dim=0)
        torch.testing.assert_close(shares, expected)
        votes = model.token_embedding(idx[:, :n])
        torch.testing.assert_close(model(idx[:, :n])[0], torch.stack([expected @ v for v in votes]))


def test_before_it_has_learned_every_character_so_far_has_an_equal_vote(idx):
    model = AveragingLanguageModel(V, T, learn=False)
    assert not model(idx)[0].any()
    with torch.no_grad():
        model.token_embedding.weight.copy_(torch.randn(V, V))
    expected = average_by_loops(model.token_embedding(idx))
    torch.testing.assert_close(model(idx)[0], expected)


@pytest.mark.parametrize("learn", [True, False])
def test_shares_get_a_gradient_only_where_they_are_learned(model, idx, learn):
    model.scores.requires_grad_(AveragingLanguageModel(V, T, learn).scores.requires_grad)
    logits, loss = model(idx, idx.flip(1))
    assert model.block_size == T and logits.shape == (3, T, V) and model(idx)[1] is None
    torch.testing.assert_close(loss, F.cross_entropy(logits.transpose(1, 2), idx.flip(1)))
    loss.backward()
    assert model.token_embedding.weight.grad.any() and (model.scores.grad is not None) == learn
