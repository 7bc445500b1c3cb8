import io
import math

from lessons import ladder, training
from lessons.at_scale.loop import train_at_scale
from lessons.at_scale.precision import pick_dtype
from lessons.batches import get_batch, split
from lessons.bigram import bigram_by_counting
from lessons.errors import BadInput
from lessons.evaluation import token_losses
from lessons.gpt import GPT, GPTConfig
from lessons.ladder import RUNGS, build_model, run_rung
from lessons.sampling import generate
from lessons.training import estimate_loss, evaluation, full_loss, train

import pandas as pd
import pytest
import torch
from tqdm import tqdm

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def quick_estimates(monkeypatch):
    """Estimates take nine tenths of so short a run; one batch will do for each."""
    monkeypatch.setattr(training, "EVAL_ITERS", 1)


def test_same_seed_same_losses(rung, text):
    model, losses = run_rung(rung, text, seed=3, device=CPU)
    again, losses_again = run_rung(rung, text, seed=3, device=CPU)
    pd.testing.assert_frame_equal(
        losses.drop(columns="seconds"), losses_again.drop(columns="seconds")
    )
    assert all(
        torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters(), strict=True)
    )
    _, other = run_rung(rung, text, seed=4, device=CPU)
    assert losses.val_loss.iloc[-1] != other.val_loss.iloc[-1]


def test_a_rung_trains_with_the_rate_of_its_settings(rung, text):
    rung = rung.shortened(max_iters=2)
    _, losses = run_rung(rung, text, seed=0, device=CPU)
    still, unmoved = run_rung(rung.shortened(learning_rate=1e-12), text, seed=0, device=CPU)
    for before, after in zip(
        build_model(rung, 28, seed=0).parameters(), still.parameters(), strict=True
    ):
        torch.testing.assert_close(after, before, atol=1e-8, rtol=0)
    # Twice the rate goes another way, from the same place.
    rate = getattr(rung.settings, "training", rung.settings).learning_rate
    _, twice = run_rung(rung.shortened(learning_rate=2 * rate), text, seed=0, device=CPU)
    assert losses.val_loss.iloc[0] == unmoved.val_loss.iloc[0] == twice.val_loss.iloc[0]
    assert losses.val_loss.iloc[-1] != twice.val_loss.iloc[-1]


@pytest.mark.parametrize("rung", RUNGS[:-1], ids=lambda rung: rung.stem)
def test_a_rung_is_lesson_1s_loop_with_its_settings_and_its_seed(rung, text, data):
    rung = rung.shortened(max_iters=4, eval_interval=3, batch_size=5)
    model, losses = run_rung(rung, text, seed=3, device=CPU)
    by_hand = build_model(rung, 28, seed=3)
    rows = train(by_hand, *split(data), batch_size=5, block_size=8, max_iters=4, eval_interval=3,
                 learning_rate=rung.settings.learning_rate, seed=3)  # fmt: skip
    assert losses.seed.eq(3).all() and losses.step.tolist() == rows.step.tolist() == [0, 3, 4]
    assert losses.val_loss.tolist() == rows.val_loss.tolist()
    for ours, theirs in zip(model.parameters(), by_hand.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_the_last_rung_is_lesson_8s_loop_with_its_settings_and_its_seed(text, data):
    rung = RUNGS[-1].shortened(max_iters=2, eval_interval=2, batch_size=3, dropout=0.5)
    model, losses = run_rung(rung, text, seed=3, device=CPU)
    by_hand = build_model(rung, 28, seed=3)
    assert not torch.equal(by_hand(data[None, :8])[0], by_hand(data[None, :8])[0])  # it drops out
    rows = train_at_scale(by_hand, *split(data), rung.settings.training, seed=3,
                          dtype=pick_dtype(CPU, rung.settings.shape.n_embd))  # fmt: skip
    assert losses.seed.eq(3).all() and losses.val_loss.tolist() == rows.val_loss.tolist()
    for ours, theirs in zip(model.parameters(), by_hand.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_the_last_rung_trains_in_the_number_format_that_suits_the_device(text, monkeypatch):
    rung, formats = RUNGS[-1].shortened(max_iters=1), []
    for dtype in (torch.float32, torch.bfloat16):
        monkeypatch.setattr(ladder, "pick_dtype", lambda device, n_embd, dtype=dtype: dtype)
        formats.append(run_rung(rung, text, seed=3, device=CPU)[1].val_loss.tolist())
    assert formats[0] != formats[1] and formats[0] == pytest.approx(formats[1], abs=0.01)


@pytest.mark.parametrize("rung", [RUNGS[0], RUNGS[-1]], ids=lambda rung: rung.stem)
def test_a_bar_that_is_given_counts_the_steps(rung, text):
    bar = tqdm(total=3, file=io.StringIO())
    run_rung(rung.shortened(max_iters=3), text, seed=0, device=CPU, progress=bar)
    assert bar.n == 3


def test_same_seed_same_sample(rung):
    model = build_model(rung, 27, seed=0)
    prompt = torch.tensor([[1, 2, 3]])
    samples = [
        generate(model, prompt, 30, generator=torch.Generator().manual_seed(s)) for s in (5, 5, 6)
    ]
    assert torch.equal(samples[0], samples[1]) and not torch.equal(samples[0], samples[2])


def test_training_lowers_the_loss_and_tells_every_evaluation(rung, text):
    _, losses = run_rung(rung, text, seed=0, device=CPU)
    assert list(losses.columns) == ["seed", "step", "train_loss", "val_loss", "seconds"]
    assert losses.step.tolist() == [0, 10, 20]
    assert losses.val_loss.iloc[-1] < losses.val_loss.iloc[0]
    assert losses.seconds.is_monotonic_increasing
    assert losses.seconds.between(0, 100).all()


def test_the_last_row_is_the_full_loss(rung, text, data):
    model, losses = run_rung(rung, text, seed=0, device=CPU)
    val_data = data[int(0.9 * len(data)) :]
    full = full_loss(model, val_data, model.block_size)
    # Rung 8's own loop adds up the same losses in smaller batches.
    assert losses.val_loss.iloc[-1] == pytest.approx(full, abs=0 if rung.number < 8 else 1e-6)


def test_the_model_ends_with_the_mean_of_its_last_weights(data):
    bare = {"batch_size": 4, "block_size": 8, "learning_rate": 0.1, "seed": 0}
    weights = []
    # The same steps by hand, with the batches that `train` draws.
    model = build_model(RUNGS[0], 28, seed=0)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        _, loss = model(*get_batch(data, 4, 8, generator))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        weights.append(model.token_embedding.weight.detach().clone())
    trained = build_model(RUNGS[0], 28, seed=0)
    train(trained, data, data, max_iters=20, **bare)
    mean = torch.stack(weights[-2:]).mean(dim=0)
    torch.testing.assert_close(trained.token_embedding.weight, mean)


@pytest.mark.parametrize("length", [2, 8, 9, 17, 100])
def test_full_loss_predicts_every_token_but_the_first_once(length):
    model = build_model(RUNGS[0], 5, seed=0)
    torch.nn.init.normal_(model.token_embedding.weight)
    data = torch.randint(5, (length,), generator=torch.Generator().manual_seed(0))
    log_probs = model.token_embedding.weight.log_softmax(dim=-1)
    by_hand = -torch.stack(
        [log_probs[a, b] for a, b in zip(data[:-1], data[1:], strict=True)]
    ).mean()
    for batch_size in (1, 3, 2048):
        assert math.isclose(full_loss(model, data, 8, batch_size), by_hand.item(), rel_tol=1e-5)


@pytest.mark.parametrize("length", [2, 8, 9, 17, 100])
def test_the_losses_of_single_tokens_have_the_full_loss_as_their_mean(length):
    torch.manual_seed(0)
    model, data = build_model(RUNGS[1], 28, seed=0), torch.randint(28, (length,))
    losses = token_losses(model, data, 8)
    assert losses.shape == (length - 1,)
    assert losses.mean().item() == pytest.approx(full_loss(model, data, 8), abs=1e-6)
    logits, _ = model(data[None, :1])
    torch.testing.assert_close(losses[0], -logits[0, 0].log_softmax(dim=-1)[data[1]])


def test_estimate_loss_comes_near_full_loss(data):
    model = bigram_by_counting(data, 28)
    estimate = estimate_loss(model, data, 64, 8, 20)
    assert estimate == estimate_loss(model, data, 64, 8, 20)
    assert math.isclose(estimate, full_loss(model, data, 8), rel_tol=0.05)
    # Read from right to left the text is another one, and this model knows it less well.
    assert full_loss(model, data.flip(0), 8) > 1.5 * estimate


@pytest.mark.parametrize(
    "measure",
    [
        lambda model, data: estimate_loss(model, data, 8, 8, 2),
        lambda model, data: full_loss(model, data, 8),
    ],
    ids=["estimate_loss", "full_loss"],
)
def test_a_loss_is_measured_without_dropout(data, measure):
    plain, drops = (GPT(GPTConfig(28, 8, 1, 2, 16), dropout) for dropout in (0.0, 0.5))
    drops.load_state_dict(plain.state_dict())
    assert measure(drops.train(), data) == pytest.approx(measure(plain, data), abs=1e-6)


def test_estimate_loss_is_the_mean_over_its_batches(data):
    model = bigram_by_counting(data, 28)
    generator = torch.Generator().manual_seed(7)
    losses = [model(*get_batch(data, 4, 8, generator))[1].item() for _ in range(3)]
    assert len(set(losses)) == 3
    assert estimate_loss(model, data, 4, 8, 3, seed=7) == pytest.approx(sum(losses) / 3)


@pytest.mark.parametrize("training", [True, False])
def test_measuring_leaves_the_model_as_it_was(data, training):
    model = build_model(RUNGS[-1], 28, seed=0).train(training)
    full_loss(model, data, 8)
    assert all(module.training == training for module in model.modules())
    with pytest.raises(ZeroDivisionError), evaluation(model):
        assert not model.training and not torch.is_grad_enabled()
        1 / 0  # noqa: B018
    assert model.training == training and torch.is_grad_enabled()


def test_a_text_too_short_in_either_split_is_refused():
    # 80 characters: 72 to train on and 8 to test on, one fewer than context + 1.
    with pytest.raises(BadInput, match="at least 9 tokens.*has 8"):
        run_rung(RUNGS[1], "ab" * 40, seed=0, device=CPU)
    with pytest.raises(BadInput, match="at least 2 tokens"):
        full_loss(build_model(RUNGS[0], 2, seed=0), torch.tensor([1]), 8)


def test_a_prompt_longer_than_the_context_is_cropped(rung):
    model = build_model(rung, 27, seed=0)
    long = torch.arange(50)[None] % 27
    out = generate(model, long, 5, generator=torch.Generator().manual_seed(0))
    assert out.shape == (1, 55) and torch.equal(out[:, :50], long)
    n = model.block_size
    cropped = generate(model, long[:, -n:], 5, generator=torch.Generator().manual_seed(0))
    assert torch.equal(out[:, 50:], cropped[:, n:])


def test_an_empty_prompt_is_refused():
    with pytest.raises(BadInput, match="prompt is empty"):
        generate(build_model(RUNGS[0], 5, seed=0), torch.zeros(1, 0, dtype=torch.long), 5)


@pytest.mark.parametrize("bad", [{"temperature": 0}, {"temperature": -1.0}, {"top_k": 0}])
def test_a_temperature_or_top_k_that_is_not_positive_is_refused(bad):
    with pytest.raises(BadInput, match="must be above 0"):
        generate(build_model(RUNGS[0], 5, seed=0), torch.zeros(1, 1, dtype=torch.long), 5, **bad)


def test_top_1_takes_the_likeliest_and_a_low_temperature_nearly_always():
    model = build_model(RUNGS[0], 5, seed=0)
    torch.nn.init.normal_(model.token_embedding.weight)
    start = torch.zeros(1, 1, dtype=torch.long)
    greedy = [0]
    for _ in range(10):
        greedy.append(model.token_embedding.weight[greedy[-1]].argmax().item())
    assert generate(model, start, 10, top_k=1)[0].tolist() == greedy
    assert generate(model, start, 10, temperature=1e-3)[0].tolist() == greedy
    assert generate(model, start, 10, top_k=99).shape == (1, 11)
