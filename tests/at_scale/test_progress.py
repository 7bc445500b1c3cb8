"""What a run says while it trains, and that a bad loss is named with its own step."""

from lessons.at_scale import progress
from lessons.at_scale.progress import CHECK_INTERVAL, Progress
from lessons.at_scale.state import TrainingState
from lessons.errors import BadInput
from lessons.optimization import learning_rate_at
from lessons.presets import TrainingConfig
from tiny_runs import new_model

import pytest
import torch
from tqdm import tqdm

CONFIG = TrainingConfig(batch_size=4, max_iters=50, learning_rate=0.5, warmup_iters=20)


@pytest.fixture
def shown():
    state = TrainingState(new_model(), CONFIG, torch.float32, seed=0)
    state.rows.append((0, 4.0, 3.25, 0.1))
    return Progress(state, saved=False, bar=tqdm(total=50, disable=True))


def take_steps(shown: Progress, losses: list[float]) -> None:
    for loss in losses:
        shown.start_step()
        shown.state.step += 1
        shown.end_step(torch.tensor(loss))


@pytest.mark.parametrize("rank", [0, 1, 7])
def test_of_many_processes_the_first_alone_shows_a_bar(monkeypatch, capsys, rank):
    monkeypatch.delenv("TQDM_DISABLE", raising=False)
    monkeypatch.setattr(progress, "rank", lambda: rank)
    with Progress(TrainingState(new_model(), CONFIG, torch.float32, seed=0), saved=False).shown():
        pass
    assert ("0/50" in capsys.readouterr().err) == (rank == 0)


def test_losses_are_looked_at_every_few_steps_or_when_asked(shown):
    take_steps(shown, [2.5] * (CHECK_INTERVAL - 1))
    shown.check(now=False)
    assert len(shown.unchecked) == CHECK_INTERVAL - 1
    take_steps(shown, [2.5])
    shown.check(now=False)
    assert shown.unchecked == []
    take_steps(shown, [2.5])
    shown.check(now=True)
    assert shown.unchecked == []


def test_the_bar_shows_the_last_losses_and_the_tokens_since_they_were_last_looked_at(
    shown, monkeypatch
):
    said, clock = [], iter([100.0, 102.0])
    monkeypatch.setattr(shown.bar, "set_postfix_str", lambda text, **_: said.append(text))
    monkeypatch.setattr("time.perf_counter", lambda: next(clock))
    take_steps(shown, [2.5, 2.375])
    shown.check(now=True)
    # Two steps of 4 x 8 tokens in two seconds.
    assert said == ["loss=2.375, val_loss=3.250, 32 tokens/s"]
    shown.show_losses(2.5, 2.25)
    assert said[1] == "train_loss=2.500, val_loss=2.250"


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("saved", [True, False])
def test_a_loss_that_is_no_number_is_named_with_its_own_step_and_rate(shown, bad, saved):
    shown.saved = saved
    take_steps(shown, [2.5, 2.5, bad, 2.5])
    with pytest.raises(BadInput) as error:
        shown.check(now=True)
    said = str(error.value)
    rate = learning_rate_at(2, CONFIG)
    assert said.startswith(f"The loss became {bad} at step 2, with a learning rate of {rate:.2g}: ")
    assert ("continue from it with --resume" in said) == saved
    assert said.endswith("a lower one." if saved else ": try a lower one.")
    with pytest.raises(BadInput, match="at step 4"):
        shown.show_losses(2.5, bad)
