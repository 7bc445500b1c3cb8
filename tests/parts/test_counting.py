"""Counting further: the class against dictionaries, and shares that are shares."""

from collections import Counter

from lessons.corpus import is_tiny_shakespeare, load_text
from lessons.counting import CountModel, as_numbers, kneser_ney_discounts, log_shares
from lessons.dataset import encode_and_split
from lessons.errors import BadInput
from lessons.evaluation import full_loss, token_losses
from lessons.sampling import generate

import pytest
import torch

V, ORDER = 5, 3


@pytest.fixture
def data():
    generator = torch.Generator().manual_seed(1)
    # Neither equally frequent nor independent, so that all counts from one to many occur.
    steps = torch.multinomial(torch.tensor([8.0, 4, 2, 1, 1]), 600, True, generator=generator)
    return (steps + steps.roll(2) * 2) % V


def share_by_dictionaries(data: list[int], context: tuple, char: int) -> float:
    """Chen and Goodman's formula, word for word."""
    runs = {ORDER: Counter(tuple(data[i : i + ORDER + 1]) for i in range(len(data) - ORDER))}
    for n in range(ORDER - 1, -1, -1):
        runs[n] = Counter(run[1:] for run in runs[n + 1])

    def share(context: tuple) -> float:
        counts = runs[len(context)]
        shorter = share(context[1:]) if context else 1 / V
        seen = {run[-1]: c for run, c in counts.items() if run[:-1] == context}
        if not seen:
            return shorter
        taken = kneser_ney_discounts(torch.tensor(list(counts.values()))).tolist()
        total = sum(seen.values())
        kept = seen[char] - taken[min(seen[char], 3)] if char in seen else 0.0
        return (kept + sum(taken[min(c, 3)] for c in seen.values()) * shorter) / total

    return share(context)


def test_the_shares_are_those_of_the_formula(data):
    model, ids = CountModel(data, V, ORDER), data.tolist()
    contexts = [(0, 1, 2), (4, 4, 4), tuple(ids[10:13]), tuple(ids[40:43]), (3, 4, 3)]
    shares = model.shares(as_numbers(torch.tensor(contexts), V), ORDER)
    expected = [[share_by_dictionaries(ids, c, char) for char in range(V)] for c in contexts]
    torch.testing.assert_close(shares, torch.tensor(expected))


@pytest.mark.parametrize("n", range(ORDER + 1))
def test_the_shares_of_any_context_are_above_0_and_add_up_to_1(data, n):
    shares = CountModel(data[:40], V, ORDER).shares(torch.arange(V**n), n)
    assert (shares > 0).all()
    torch.testing.assert_close(shares.sum(dim=1), torch.ones(V**n))


def test_a_character_that_was_never_seen_has_a_share_after_every_context(data):
    model = CountModel(data, V + 1, 2)
    shares = model.shares(torch.arange((V + 1) ** 2), 2)
    assert (shares[:, V] > 0).all()


def test_a_run_counts_shorter_ones_once_for_each_character_before_it():
    model = CountModel(torch.tensor([0, 1, 0, 1, 0, 1, 2, 1]), 3, 1)
    assert model.grams[1].tolist() == [1, 3, 5, 7]  # 01, 10, 12, 21
    assert model.counts[1].tolist() == [3, 2, 1, 1]
    assert model.grams[0].tolist() == [0, 1, 2]
    assert model.counts[0].tolist() == [1, 2, 1]  # 1 comes after 0 and after 2


def test_a_text_is_scored_as_the_model_predicts_it(data):
    model = CountModel(data[:500], V, ORDER)
    scored = log_shares(model, data[500:], before=data[:500])
    windows = data[500 - ORDER :].unfold(0, ORDER, 1)[: len(scored)]
    logits, _ = model(windows)
    expected = logits[torch.arange(len(scored)), -1, data[500:]]
    torch.testing.assert_close(scored, expected)


def test_a_window_shorter_than_the_order_is_predicted_from_what_there_is(data):
    model = CountModel(data, V, ORDER)
    logits, loss = model(data[None, :2], data[None, 1:3])
    expected = model.shares(data[:1], 1)[0].log()
    torch.testing.assert_close(logits[0, 0], expected)
    torch.testing.assert_close(loss, -(logits[0, 0, data[1]] + logits[0, 1, data[2]]) / 2)


def test_it_writes_what_it_has_read():
    data = torch.tensor([0, 1, 2, 3] * 50)
    out = generate(CountModel(data, 4, 3), torch.tensor([[0, 1]]), 10, top_k=1)
    assert out[0].tolist() == [0, 1, 2, 3] * 3


def test_a_text_of_two_characters_can_be_counted():
    data = torch.tensor([0, 1, 1, 0, 1, 0, 0, 1] * 5)
    assert CountModel(data, 2, 4).shares(torch.arange(16), 4).isfinite().all()


@pytest.mark.parametrize(("n", "order"), [(10, 0), (10, -1), (10, 10), (10, 11), (1, 1)])
def test_an_order_that_the_text_cannot_fill_is_refused(n, order):
    with pytest.raises(BadInput, match=f"The order is {order}.*below the {n} characters"):
        CountModel(torch.zeros(n, dtype=torch.int64), 2, order)


def test_runs_that_fit_into_no_whole_number_are_refused():
    with pytest.raises(BadInput, match="choose a lower order"):
        CountModel(torch.arange(100), 1000, 6)
    CountModel(torch.arange(100), 1000, 5)


def test_too_little_text_before_is_refused(data):
    with pytest.raises(BadInput, match="as many before"):
        log_shares(CountModel(data, V, ORDER), data, before=data[: ORDER - 1])


def test_discounts_never_take_all_of_a_count_nor_nothing(data):
    for counts in ([1, 2, 3, 4], [1, 1, 2, 3, 3, 3], [5, 6], [1, 2, 2, 2, 2, 3]):
        none, *taken = kneser_ney_discounts(torch.tensor(counts)).tolist()
        assert none == 0
        assert all(0 < d <= k for k, d in enumerate(taken, 1))


def test_counts_of_six_characters_reach_the_loss_that_the_lesson_states():
    text = load_text()
    if not is_tiny_shakespeare(text):
        pytest.skip("Tiny Shakespeare is not here")
    train_data, val_data, tokenizer = encode_and_split(text)
    model = CountModel(train_data, tokenizer.vocab_size, 6)
    assert -log_shares(model, val_data, train_data).mean().item() == pytest.approx(1.5165, abs=1e-3)


def test_the_loss_over_a_split_is_also_that_of_a_model_without_weights():
    data = torch.arange(60) % 5
    model = CountModel(data, 5, 2)
    losses = token_losses(model, data, 4)
    assert full_loss(model, data, 4) == pytest.approx(losses.mean().item(), abs=1e-6)
    # The first of a window has no context of two, and is told by pairs alone.
    pairs = -model.shares(data[:1], 1)[0, data[1]].log().item()
    assert losses[0].item() == pytest.approx(pairs, abs=1e-6)
