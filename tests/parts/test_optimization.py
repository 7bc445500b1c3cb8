"""The learning rate of each step, and which weights decay."""

from lessons.gpt import GPT, GPTConfig
from lessons.optimization import learning_rate_at, make_optimizer
from lessons.presets import TrainingConfig

import pytest
import torch


def test_the_learning_rate_climbs_to_its_peak_and_ends_at_a_tenth():
    config = TrainingConfig(batch_size=4, max_iters=1000, learning_rate=0.5, warmup_iters=100)
    rates = [learning_rate_at(step, config) for step in range(1001)]
    assert rates[0] == pytest.approx(0.005)
    assert max(rates) == rates[99] == rates[100] == 0.5
    assert rates[-1] == pytest.approx(0.05)
    assert rates[100:] == sorted(rates[100:], reverse=True)
    # Half way between the peak and the end stands half of both.
    assert rates[550] == pytest.approx(0.275)


def test_a_run_as_short_as_its_warm_up_has_a_learning_rate_at_its_end():
    config = TrainingConfig(batch_size=4, max_iters=100, warmup_iters=100)
    assert learning_rate_at(100, config) == config.learning_rate


def test_only_matrices_decay():
    torch.manual_seed(0)
    model = GPT(GPTConfig(11, 8, 2, 2, 16))
    optimizer = make_optimizer(model, TrainingConfig(batch_size=4, max_iters=10))
    # Without gradients of its own a weight moves by its decay alone.
    for p in model.parameters():
        p.grad = torch.zeros_like(p)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    optimizer.param_groups[0]["lr"] = optimizer.param_groups[1]["lr"] = 0.5
    optimizer.step()
    for name, p in model.named_parameters():
        expected = before[name] * 0.95 if p.dim() >= 2 else before[name]
        torch.testing.assert_close(p.detach(), expected)


def test_the_optimizer_gets_every_parameter_once_and_its_settings():
    model = GPT(GPTConfig(11, 8, 2, 2, 16))
    config = TrainingConfig(batch_size=4, max_iters=10, learning_rate=0.5, beta2=0.8)
    optimizer = make_optimizer(model, config)
    trained = [id(p) for group in optimizer.param_groups for p in group["params"]]
    assert sorted(trained) == sorted(id(p) for p in model.parameters())
    for group in optimizer.param_groups:
        assert group["lr"] == 0.5 and group["betas"] == (0.9, 0.8)
