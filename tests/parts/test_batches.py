from lessons.batches import get_batch, split
from lessons.errors import BadInput

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st


@given(n=st.integers(2, 60), block_size=st.integers(1, 20), seed=st.integers(0, 9))
def test_targets_are_inputs_shifted_by_one_and_never_cross_the_split(n, block_size, seed):
    block_size = min(block_size, n - 1)
    # The validation part goes on counting where the training part ends at n - 1.
    train_data, _ = split(torch.arange(10 * n), train_fraction=0.1)
    generator = torch.Generator().manual_seed(seed)
    xb, yb = get_batch(train_data, 4, block_size, generator)
    assert xb.shape == yb.shape == (4, block_size)
    assert torch.equal(yb, xb + 1)
    assert yb.max() < n


def test_every_place_of_the_data_can_be_drawn():
    xb, _ = get_batch(torch.arange(12), 500, 8, torch.Generator().manual_seed(0))
    assert xb[:, 0].unique().tolist() == [0, 1, 2, 3]


def test_the_first_tenths_train_and_the_last_one_tests():
    train_data, val_data = split(torch.arange(100))
    assert train_data.tolist() == list(range(90)) and val_data.tolist() == list(range(90, 100))


@pytest.mark.parametrize("length", [0, 1, 8])
def test_data_too_short_for_the_context_is_refused(length):
    with pytest.raises(BadInput, match=f"at least 9 tokens.*has {length}"):
        get_batch(torch.arange(length), 4, 8)


def test_data_of_context_plus_one_is_enough():
    xb, yb = get_batch(torch.arange(9), 2, 8)
    assert xb.tolist() == 2 * [list(range(8))] and yb.tolist() == 2 * [list(range(1, 9))]
