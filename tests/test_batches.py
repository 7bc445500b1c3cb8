from itertools import islice

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lessons.batches import deal_batches, get_batch, split
from lessons.errors import BadInput


@given(n=st.integers(2, 60), block_size=st.integers(1, 20), seed=st.integers(0, 9))
def test_targets_are_inputs_shifted_by_one_and_never_cross_the_split(n, block_size, seed):
    block_size = min(block_size, n - 1)
    # The validation part goes on counting where the training part ends at n - 1.
    train_data, _ = split(torch.arange(10 * n), train_fraction=0.1)
    generator = torch.Generator().manual_seed(seed)
    drawn = get_batch(train_data, 4, block_size, generator)
    dealt = list(islice(deal_batches(train_data, 4, block_size, generator), 3))
    for xb, yb in [drawn, *dealt]:
        assert xb.shape == yb.shape and xb.shape[1] == block_size
        assert torch.equal(yb, xb + 1)
        assert yb.max() < n


def test_every_place_of_the_data_can_be_drawn():
    xb, _ = get_batch(torch.arange(12), 500, 8, torch.Generator().manual_seed(0))
    assert xb[:, 0].unique().tolist() == [0, 1, 2, 3]


def test_no_stretch_is_dealt_twice_in_a_round():
    n, block_size = 1000, 10
    dealt = deal_batches(torch.arange(n), 7, block_size, torch.Generator().manual_seed(0))
    seen = torch.cat([xb.flatten() for xb, _ in islice(dealt, (n - block_size) // block_size // 7)])
    assert len(seen.unique()) == len(seen)


def test_dealing_goes_on_into_the_next_round():
    dealt = deal_batches(torch.arange(25), 32, 8, torch.Generator().manual_seed(0))
    assert sum(len(xb) for xb, _ in islice(dealt, 10)) >= 20


def test_the_first_tenths_train_and_the_last_one_tests():
    train_data, val_data = split(torch.arange(100))
    assert train_data.tolist() == list(range(90)) and val_data.tolist() == list(range(90, 100))


@pytest.mark.parametrize("length", [0, 1, 8])
def test_data_too_short_for_the_context_is_refused(length):
    with pytest.raises(BadInput, match=f"at least 9 tokens.*has {length}"):
        get_batch(torch.arange(length), 4, 8)
    with pytest.raises(BadInput, match=f"at least 9 tokens.*has {length}"):
        next(deal_batches(torch.arange(length), 4, 8))


def test_data_of_context_plus_one_is_enough():
    xb, yb = next(deal_batches(torch.arange(9), 4, 8))
    assert xb.tolist() == [list(range(8))] and yb.tolist() == [list(range(1, 9))]
