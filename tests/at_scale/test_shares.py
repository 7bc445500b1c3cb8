"""What each of several processes gets, and what is made of their answers; none is started here."""

import math

from lessons.at_scale import distributed, shared_loss
from lessons.at_scale.distributed import micro_batch_size, my_share
from lessons.at_scale.shared_loss import eval_ids, shared_full_loss
from lessons.errors import BadInput
from lessons.evaluation import full_loss
from lessons.presets import TrainingConfig
from tiny_runs import new_model

import pytest
import torch
import torch.distributed as dist


@pytest.fixture
def as_process(monkeypatch):
    """Let this process believe that it is number `rank` of `world`."""

    def believe(rank: int, world: int) -> None:
        for module in (distributed, shared_loss):
            monkeypatch.setattr(module, "rank", lambda: rank)
            monkeypatch.setattr(module, "world_size", lambda: world)

    return believe


@pytest.mark.parametrize("world", [1, 2, 3, 5])
@pytest.mark.parametrize("length", [2, 9, 10, 17, 33, 100])
def test_the_processes_shares_of_a_loss_make_up_the_whole(
    as_process, monkeypatch, data, world, length
):
    model, shares = new_model(), []
    monkeypatch.setattr(shared_loss, "weighted_mean", lambda *share: shares.append(share))
    for rank in range(world):
        as_process(rank, world)
        shared_full_loss(model, data[:length], 4)
    n_targets = [n for _, n in shares]
    assert sum(n_targets) == length - 1 and n_targets == sorted(n_targets, reverse=True)
    mean = sum(loss * n for loss, n in shares) / sum(n_targets)
    assert mean == pytest.approx(full_loss(model, data[:length], 8), abs=1e-6)
    # No process measures more than its share of the windows of eight.
    n_windows = math.ceil((length - 1) / 8)
    assert max(n_targets) <= 8 * math.ceil(n_windows / world)


def test_losses_are_measured_on_large_batches_whatever_the_training_batch(data, monkeypatch):
    sizes = []
    monkeypatch.setattr(
        shared_loss, "full_loss", lambda model, data, block, batch: sizes.append(batch) or 1.0
    )
    for batch_size in (1, 256, 300):
        shared_full_loss(new_model(), data, batch_size)
    assert sizes == [2048 // 8, 256, 300]


def test_all_of_the_validation_tokens_count_and_a_quarter_as_many_of_the_others():
    train, val = torch.arange(400, dtype=torch.int16), torch.arange(100, dtype=torch.int16)
    ids, val_ids = eval_ids(train, val)
    assert torch.equal(val_ids, val.long()) and torch.equal(ids, train[:27].long())
    assert val_ids.dtype == ids.dtype == torch.int64


def test_processes_share_the_rows_of_a_batch(as_process):
    batch, shares = torch.arange(12).view(6, 2), []
    for rank in range(3):
        as_process(rank, 3)
        shares.append(my_share(batch))
    assert [len(share) for share in shares] == [2, 2, 2]
    assert torch.equal(torch.cat(shares), batch)


def test_a_batch_is_cut_among_processes_and_micro_batches(as_process):
    config = TrainingConfig(batch_size=12, max_iters=1, grad_accum_steps=2)
    for world, size in ((1, 6), (2, 3), (3, 2), (6, 1)):
        as_process(0, world)
        assert micro_batch_size(config) == size
    as_process(0, 4)
    with pytest.raises(BadInput, match=r"size 12 .* 4 process.* grad_accum_steps 2 .* of 8\."):
        micro_batch_size(config)


def test_answers_of_several_processes_are_joined(as_process, monkeypatch):
    as_process(0, 2)

    def all_reduce(tensor, op=dist.ReduceOp.SUM):
        other = {torch.float64: torch.tensor([2.0 * 30, 30.0]).double(), torch.int64: 1}
        total = {dist.ReduceOp.SUM: torch.add, dist.ReduceOp.MAX: torch.maximum}[op]
        tensor.copy_(total(tensor, torch.as_tensor(other[tensor.dtype])))

    monkeypatch.setattr(dist, "all_reduce", all_reduce)
    assert distributed.weighted_mean(1.0, 10.0) == pytest.approx(1.75)
    assert distributed.any_process(False) is True
    as_process(0, 1)
    assert distributed.weighted_mean(1.0, 10.0) == 1.0
    assert distributed.any_process(False) is False and distributed.any_process(True) is True
