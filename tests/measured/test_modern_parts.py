"""What each part is worth: rows that differ in one thing, each trained at its own best rate."""

import modern
from lessons.files import read_csv
from lessons.gpt import GPT, parameter_count
from lessons.modern.parts import Parts, build, optimizers_of, train_parts

import pandas as pd
import pytest
import torch

TEXT = "KING:\nNow is the winter of our discontent,\n\nQUEEN ANNE:\nMade glorious.\n" * 40
V = 20


def test_as_they_stand_the_parts_are_lesson_8s():
    assert isinstance(build(Parts(), V), GPT)


@pytest.mark.parametrize("row", modern.ROWS)
def test_every_row_has_about_as_many_weights_and_begins_near_knowing_nothing(row):
    torch.manual_seed(1)
    model, base = build(modern.ROWS[row], V), parameter_count(build(Parts(), V))
    fewest = 0.91 if "groups" in row else 0.98
    assert fewest * base < parameter_count(model) < 1.02 * base
    idx = torch.randint(V, (4, 65))
    _, loss = model(idx[:, :-1], idx[:, 1:])
    assert 2.9 < loss < 3.4  # ln 20 is 3.0


@pytest.mark.parametrize("row", modern.ROWS)
def test_every_weight_is_in_one_optimizer_and_learns(row, data):
    torch.manual_seed(1)
    parts = modern.ROWS[row]
    model = build(parts, 28)
    groups = [g["params"] for o, _ in optimizers_of(model, parts, 0.01) for g in o.param_groups]
    assert sorted(map(id, sum(groups, []))) == sorted(map(id, model.parameters()))
    before = {name: p.clone() for name, p in model.named_parameters()}
    train_parts(model, data % 28, parts, 0.01, 0, max_iters=3)
    still = {name for name, p in model.named_parameters() if torch.equal(p, before[name])}
    learned_places = parts.positions == "learned"
    assert still == (set() if learned_places else {"position_embedding.weight"})


def test_without_positions_the_order_of_what_came_before_is_lost_in_one_layer():
    idx = torch.tensor([[3, 1, 4, 1, 5, 9]])
    other = torch.tensor([[4, 1, 3, 5, 1, 9]])
    for positions, blind in (("none", True), ("rotary", False), ("learned", False)):
        torch.manual_seed(1)
        model = build(Parts(positions=positions, norm="rms"), V)
        model.body = model.body[:1]
        one, two = (model(ids)[0][0, -1] for ids in (idx, other))
        assert torch.allclose(one, two, atol=1e-5) == blind


def test_the_rate_of_a_row_is_the_best_of_its_sweep(tmp_path, monkeypatch):
    monkeypatch.setattr(modern, "load_text", lambda: TEXT)
    monkeypatch.setattr(modern, "ROWS", {"lesson 8": Parts(), "Muon": Parts(muon=True)})
    monkeypatch.setattr(modern, "RATES", (1e-4, 1e-2))
    monkeypatch.setattr(modern, "MUON_RATES", (1e-3, 2e-2))
    monkeypatch.setattr(modern, "HIGH_ROWS", ("lesson 8",))
    monkeypatch.setattr(modern, "HIGH_RATES", (0.5,))
    monkeypatch.setattr(modern, "TURNS", 1)
    monkeypatch.setattr("sys.argv", ["", "--out", str(tmp_path), "--max-iters", "12"])
    modern.main()
    sweep = read_csv(tmp_path / "modern_sweep.csv", ["row", "learning_rate", "loss"])
    best = sweep.loc[sweep.groupby("row").loss.idxmin()].set_index("row").learning_rate
    rows = read_csv(tmp_path / "modern_parts.csv", ["row", "seed", "learning_rate", "val_loss"])
    assert len(rows) == 6 and (rows.learning_rate == rows.row.map(best)).all()
    speeds = pd.read_csv(tmp_path / "modern_speed.csv")
    assert speeds.row.tolist() == ["lesson 8", "Muon"] and (speeds.milliseconds > 0).all()
    in_time = pd.read_csv(tmp_path / "modern_time.csv").groupby("row").steps.first()
    once, muon = speeds.milliseconds
    assert in_time["lesson 8"] == 12 and in_time["Muon"] == round(12 * once / muon)
    assert pd.read_csv(tmp_path / "modern_high.csv").learning_rate.tolist() == [0.5] * 3
