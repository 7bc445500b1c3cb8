"""An experiment's runs are recorded one by one, and never beside what cannot be compared."""

from experiment import experiment_parser, measure_missing
from lessons.errors import BadInput, Stopped
from lessons.records import Record

import pytest
import torch

RUNS = [("small", 0), ("small", 1), ("large", 0)]


@pytest.fixture
def record(tmp_path, monkeypatch):
    """A function that makes the record of an experiment with this setting."""
    monkeypatch.setattr(torch, "set_num_threads", lambda n: None)

    def make(**setting) -> Record:
        return Record(
            tmp_path / "new", "sizes", setting, ["size", "seed"], ["size", "seed", "loss"]
        )

    return make


def loss_of(size: str, seed: int) -> list[dict]:
    return [{"loss": len(size) + seed / 4}]


def nothing(*run):
    raise AssertionError(f"{run} was measured")


def test_each_run_is_on_record_before_the_next_begins(record):
    seen = []

    def measure(size, seed):
        seen.append(len(record(steps=3).rows()))
        return loss_of(size, seed)

    measure_missing(record(steps=3), RUNS, measure, force=False)
    assert seen == [0, 1, 2]
    rows = record(steps=3).rows()
    assert [*rows.itertuples(index=False, name=None)] == [(*run, loss_of(*run)[0]["loss"])
                                                          for run in RUNS]  # fmt: skip


@pytest.mark.parametrize("end", [KeyboardInterrupt, BadInput, MemoryError])
def test_a_run_that_ends_early_loses_itself_alone_and_the_next_start_goes_on_from_there(
    record, end
):
    def measure(size, seed):
        if size == "large":
            raise end
        return loss_of(size, seed)

    with pytest.raises(Stopped if end is KeyboardInterrupt else end):
        measure_missing(record(steps=3), RUNS, measure, force=False)
    done = []
    measure_missing(record(steps=3), RUNS, lambda *run: done.append(run) or loss_of(*run), False)
    assert done == [RUNS[-1]]


def test_what_is_on_record_is_measured_again_with_force_alone(record, capsys):
    measure_missing(record(steps=3), RUNS, loss_of, force=False)
    measure_missing(record(steps=3), RUNS, nothing, force=False)
    assert "sizes.csv: --force measures it again" in capsys.readouterr().out
    measure_missing(record(steps=3), RUNS[:1], lambda *run: [{"loss": 9.0}], force=True)
    assert sorted(record(steps=3).rows().loss) == [5.0, 5.25, 9.0]


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize(
    ("setting", "measured_on", "reason"),
    [({"steps": 4}, {"torch": "2"}, "with other hyperparameters"),
     ({"steps": 3}, {"torch": "3"}, "on another machine"),
     ({"steps": 3}, None, "on another machine")],
)  # fmt: skip
def test_settings_and_machines_are_never_mixed(record, setting, measured_on, reason, force):
    old = record(steps=3)
    measure_missing(old, RUNS, loss_of, False, {"torch": "2"})
    before = old.csv.read_bytes(), old.json.read_bytes()
    with pytest.raises(BadInput, match=reason):
        measure_missing(record(**setting), [("new", 0)], nothing, force, measured_on)
    assert (old.csv.read_bytes(), old.json.read_bytes()) == before


def test_a_folder_that_cannot_be_written_is_found_before_anything_is_measured(record, tmp_path):
    (tmp_path / "new").touch()
    with pytest.raises(BadInput, match="--out"):
        measure_missing(record(), RUNS, nothing, force=False)


def test_a_run_may_have_several_rows(record):
    curve = [{"loss": 3.0, "step": 1}, {"loss": 2.0, "step": 2}]
    several = record()
    several.columns = ["size", "seed", "step", "loss"]
    measure_missing(several, RUNS[:1], lambda *run: curve, force=False)
    assert several.rows().step.tolist() == [1, 2]
    measure_missing(several, RUNS[:1], nothing, force=False)


def test_one_thread_of_the_cpu_unless_the_caller_says_where(record, monkeypatch):
    threads = []
    monkeypatch.setattr(torch, "set_num_threads", threads.append)
    measure_missing(record(), RUNS[:1], loss_of, False, {"device": "a machine"})
    assert threads == []
    measure_missing(record(), RUNS[:1], loss_of, force=True)
    assert threads == [1] and '"threads_per_seed": 1' in record().json.read_text()


def test_the_parser_has_the_flags_that_an_experiment_shares():
    few = experiment_parser("What is measured.\nMore.", range(2), max_iters=False)
    assert few.parse_args([]).seeds == [0, 1] and few.description == "What is measured."
    with pytest.raises(BadInput, match="--max-iters"):
        few.parse_args(["--max-iters", "3"])
    args = experiment_parser("What.", [5]).parse_args(["--max-iters", "3", "--force"])
    assert (args.max_iters, args.force, args.seeds) == (3, True, [5])
