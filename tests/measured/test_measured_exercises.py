"""The exercises' experiments are measured seed by seed, from the solutions themselves."""

import sys

import exercises as measure_exercises
from lessons.records import EXPERIMENTS_DIR

import nbformat
import pandas as pd
import pytest
import torch

CELLS = {
    "imports": "import pandas as pd\nimport torch\nfrom lessons.training import train",
    "before-3": "torch.manual_seed(1337)\nbefore = torch.rand(()).item()",
    "solution-3": """
def scale_experiment():
    torch.manual_seed(1337)
    row = (True, 1, before, torch.rand(()).item(), train.keywords["seed"])
    return pd.DataFrame([row], columns=["scaled", "factor", "first_loss", "val_loss", "seed"])
""",
}


def write_solution(folder, cells: dict[str, str]):
    notebook = nbformat.v4.new_notebook()
    notebook.cells = [nbformat.v4.new_code_cell(cells[name], id=name) for name in cells]
    nbformat.write(notebook, folder / "03_single_head_solutions.ipynb")


@pytest.fixture
def measure(tmp_path, monkeypatch):
    """A function that runs the script on made-up solutions, with further arguments."""
    write_solution(tmp_path, CELLS)
    monkeypatch.setattr(measure_exercises, "SOLUTIONS", tmp_path)
    monkeypatch.setattr(measure_exercises, "load_text", lambda: "some text")
    monkeypatch.setattr(torch, "set_num_threads", lambda n: None)

    def run(*seeds: int) -> pd.DataFrame:
        arguments = ["--out", str(tmp_path), "--lessons", "03_single_head", "--seeds"]
        monkeypatch.setattr(sys, "argv", ["x", *arguments, *map(str, seeds)])
        measure_exercises.main()
        return pd.read_csv(tmp_path / "exercises.csv")

    return run


def test_weights_and_batches_of_a_solution_come_from_the_seed_that_is_asked_for(measure):
    rows = measure(1, 2)
    assert list(rows.columns) == measure_exercises.COLUMNS
    assert set(rows.row) == {"scaled True, factor 1"}
    table = rows.pivot(index="seed", columns="measured", values="value")
    assert table.seed.tolist() == [1, 2] == table.index.tolist()
    assert table.first_loss.nunique() == 2
    # Both draw the first number after the seed was set.
    assert (table.first_loss == table.val_loss).all()


@pytest.mark.parametrize(
    ("cell", "old", "new"),
    [
        ("solution-3", "torch.manual_seed(1337)", "pass"),
        ("solution-3", "manual_seed(1337)", "manual_seed(1338)"),
        ("solution-3", "manual_seed(1337)", "manual_seed(SEED)"),
        ("solution-3", "manual_seed(1337)", "manual_seed( 1337 )"),
        ("before-3", "manual_seed(1337)", "manual_seed(seed=1337)"),
        ("imports", "import train", "import train as fit"),
    ],
)
def test_a_solution_that_cannot_be_given_another_seed_is_refused_before_anything_is_recorded(
    measure, tmp_path, capsys, cell, old, new
):
    write_solution(tmp_path, CELLS | {cell: CELLS[cell].replace(old, new)})
    with pytest.raises(SystemExit):
        measure(1)
    assert "seed" in capsys.readouterr().err
    assert not list(tmp_path.glob("exercises.*"))


@pytest.mark.parametrize("lesson", measure_exercises.EXPERIMENTS)
def test_every_solution_can_be_given_another_seed(lesson):
    code = measure_exercises.code_of(lesson, 5)
    assert "manual_seed(5)" in code and "1337" not in code


def test_what_is_on_record_is_not_measured_again(measure, monkeypatch):
    rows = measure(1)
    more = measure(1, 2)
    pd.testing.assert_frame_equal(more[more.seed == 1].reset_index(drop=True), rows)
    monkeypatch.setattr(measure_exercises, "table_of", None)  # calling it would be an error
    pd.testing.assert_frame_equal(measure(2, 1), more)


def test_the_record_has_every_row_of_every_experiment_with_five_seeds_and_the_notebooks_own():
    rows = pd.read_csv(EXPERIMENTS_DIR / "exercises.csv")
    names = {name for name, _ in measure_exercises.EXPERIMENTS.values()}
    assert set(rows.experiment) == names
    for _, own in rows.groupby("experiment"):
        assert own.seed.nunique() >= 5 and 1337 in own.seed.to_numpy()
        assert (own.groupby(["row", "measured"]).size() == own.seed.nunique()).all()
    assert rows[rows.measured.str.endswith("loss")].value.between(1.5, 5).all()
