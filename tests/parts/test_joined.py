"""The join: counts of the other parts, a network that begins by saying what they say."""

import math
from dataclasses import replace

from lessons.counting import CountModel, log_shares
from lessons.errors import BadInput
from lessons.evaluation import full_loss
from lessons.modern.gated_mlp import SquaredReLUMLP
from lessons.modern.joined import JoinedGPT, cross_fitted
from lessons.modern.model import ModernConfig, ModernGPT
from lessons.modern.told import joined_loss, next_log_shares
from lessons.modern.training import (
    ShortRun,
    batch_loss,
    height,
    start_from_nothing,
    train_short,
)
from lessons.sampling import generate

import pytest
import torch

V, ORDER = 5, 3
SHAPE = ModernConfig(vocab_size=V, block_size=8, n_layer=1, n_head=2, n_group=1, n_embd=16,
                     n_hidden=32, qk_norm=True)  # fmt: skip


@pytest.fixture
def text():
    """Each character but every third is the sum of the two before it."""
    dice = torch.Generator().manual_seed(1)
    ids = torch.randint(V, (1200,), generator=dice)
    for n in range(2, len(ids)):
        if n % 3:
            ids[n] = (ids[n - 1] + ids[n - 2]) % V
    return ids


@pytest.fixture
def model(text):
    torch.manual_seed(1)
    gpt = ModernGPT(SHAPE, SquaredReLUMLP)
    start_from_nothing(gpt)
    return JoinedGPT(gpt, CountModel(text, V, ORDER))


def test_what_counting_says_next_is_what_it_said_of_each_character(text):
    before, data = text[:1000], text[1000:]
    model = CountModel(before, V, ORDER)
    told = next_log_shares(model, data, before)
    torch.testing.assert_close(told.exp().sum(dim=1), torch.ones(len(data)))
    of_each = log_shares(model, data[1:], torch.cat((before, data[:1])))
    torch.testing.assert_close(told[:-1].gather(1, data[1:, None])[:, 0], of_each)


def test_at_the_beginning_of_a_text_contexts_are_shorter(text):
    model = CountModel(text, V, ORDER)
    told = next_log_shares(model, text[:4])
    assert told.shape == (4, V)
    torch.testing.assert_close(told[0], model.shares(text[:1], 1)[0].log())


def test_a_part_is_told_by_counts_of_the_others_alone():
    noise = torch.randint(V, (900,), generator=torch.Generator().manual_seed(1))
    its_own = next_log_shares(CountModel(noise, V, 6), noise)
    told = cross_fitted(noise, V, 6, parts=9)
    losses = [-each[:-1].gather(1, noise[1:, None]).mean().item() for each in (its_own, told)]
    # Counts of this very text know it by heart; nothing else knows anything about noise.
    assert losses[0] < 1.0 and losses[1] > 0.98 * math.log(V)
    torch.testing.assert_close(told.exp().sum(dim=1), torch.ones(len(noise)))
    # Another text in one part changes nothing of what that part is told by the same context.
    other = noise.clone()
    other[450:500] = (other[450:500] + 1) % V
    again = cross_fitted(other, V, 6, parts=9)
    torch.testing.assert_close(told[400:450], again[400:450])


def test_before_it_is_trained_it_says_what_counting_says(model, text):
    log_shares_of_text = next_log_shares(model.counts, text[:8])
    logits, loss = model(text[None, :8], text[None, 1:9], log_shares_of_text[None])
    torch.testing.assert_close(logits.softmax(dim=-1)[0], log_shares_of_text.exp())
    alone, _ = model(text[None, :8])
    torch.testing.assert_close(alone, model.counts(text[None, :8])[0])
    losses = -log_shares(model.counts, text[1000:], text[:1000])
    assert joined_loss(model, text[999:], text[:999]) == pytest.approx(losses.mean().item())


def test_it_keeps_the_frames_contract_and_writes(model, text):
    assert generate(model, text[None, :3], 12).shape == (1, 15)
    assert full_loss(model, text[:100], SHAPE.block_size) < math.log(V)
    changed = text[:8].clone()
    changed[5:] = (changed[5:] + 1) % V
    torch.nn.init.normal_(model.gpt.lm_head.weight)
    torch.testing.assert_close(model(text[None, :8])[0][:, :5], model(changed[None])[0][:, :5])


def test_rates_rise_stay_and_fall_to_nothing():
    run = ShortRun(warmup=0.1, cooldown=0.5)
    heights = [height(done, run) for done in (0, 0.05, 0.1, 0.5, 0.75, 1)]
    assert heights == pytest.approx([0, 0.5, 1, 1, 0.5, 0])


def test_it_learns_what_counting_cannot_see_in_as_many_steps_as_the_clock_allows(model):
    far = torch.randint(V, (1200,), generator=torch.Generator().manual_seed(1))
    for n in range(5, len(far)):
        if n % 4:
            far[n] = far[n - 5]  # two farther back than the counts look
    part, rest, run = far[:1000], far[999:], replace(ShortRun(), batch_size=8)
    model.counts = CountModel(part, V, ORDER)
    before = joined_loss(model, rest, far[:999])
    told = cross_fitted(part, V, ORDER)
    assert train_short(model, part, run, lambda step: step / 150, 0, told) == 150
    assert joined_loss(model, rest, far[:999]) < before - 0.1


def test_without_counts_it_learns_too(text):
    torch.manual_seed(1)
    gpt = ModernGPT(SHAPE, SquaredReLUMLP)
    start_from_nothing(gpt)
    assert train_short(gpt, text, ShortRun(), lambda step: step / 150, seed=0) == 150
    assert full_loss(gpt, text, SHAPE.block_size) < 0.95 * math.log(V)


def test_the_same_seed_trains_the_same_weights(text):
    weights = []
    for seed in (0, 0, 1):
        torch.manual_seed(5)
        gpt = ModernGPT(SHAPE, SquaredReLUMLP)
        train_short(gpt, text, ShortRun(), lambda step: step / 3, seed)
        weights.append(gpt.lm_head.weight)
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])


def test_who_is_told_nothing_is_told_equal_shares(model, text):
    torch.nn.init.normal_(model.gpt.lm_head.weight)
    losses = []
    for told in (cross_fitted(text, V, ORDER), torch.zeros(len(text), V)):
        dice = torch.Generator().manual_seed(1)
        losses.append(batch_loss(model, text, ShortRun(hidden=1.0), dice, told).item())
    assert losses[0] == losses[1]


@pytest.mark.parametrize("setting", ["hidden", "warmup", "cooldown"])
def test_a_part_of_more_than_all_is_refused(setting):
    with pytest.raises(BadInput, match=setting):
        ShortRun(**{setting: 1.5})


def test_a_part_shorter_than_a_context_is_refused():
    with pytest.raises(BadInput, match="23 characters are too few for 8 parts"):
        cross_fitted(torch.arange(23) % V, V, ORDER)
    assert cross_fitted(torch.arange(24) % V, V, ORDER).shape == (24, V)


def test_a_text_shorter_than_a_window_is_refused(model):
    few, told = torch.arange(8) % V, torch.zeros(8, V)
    with pytest.raises(BadInput, match="at least 9 tokens"):
        batch_loss(model, few, ShortRun(), torch.Generator(), told)
