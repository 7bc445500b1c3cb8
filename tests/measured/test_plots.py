import sys

import figures as plot_loss
from conftest import losses_of
from lessons.ladder import RUNGS
from lessons.plots import plot_ladder, plot_loss_curves, plot_matrix, title_of

import matplotlib
import pandas as pd
import pytest

matplotlib.use("agg")


@pytest.fixture
def folder(tmp_path):
    """Two loss files, one of a rung that is not on the ladder."""
    for name in ("02_single_head", "99_something_else"):
        losses_of(RUNGS[1], 0).to_csv(tmp_path / f"{name}.csv", index=False)
    return tmp_path


def draw(monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", ["figures.py", *map(str, words)])
    plot_loss.main()


def test_both_figures_are_drawn_from_any_folder_of_csvs(monkeypatch, folder):
    draw(monkeypatch, "--losses", folder, "--out", folder / "images")
    for name in ("loss_curves.png", "ladder.png"):
        assert (folder / "images" / name).read_bytes().startswith(b"\x89PNG")


def test_a_missing_column_is_named_and_nothing_is_drawn(monkeypatch, folder, capsys):
    bad = folder / "02_single_head.csv"
    bad.write_text(bad.read_text().replace("val_loss", "loss"))
    with pytest.raises(SystemExit) as ended:
        draw(monkeypatch, "--losses", folder, "--out", folder / "images")
    error = capsys.readouterr().err
    assert ended.value.code == 2 and "02_single_head.csv has no column 'val_loss'" in error
    assert not (folder / "images").exists()


def test_a_loss_file_is_shown_under_the_title_of_its_rung_or_its_own_name():
    assert title_of("02_single_head") == "single head"
    assert title_of("my_own_run") == "my_own_run"


def test_the_ladder_is_climbed_in_its_order_and_not_in_the_files():
    stems = ["99_something_else", "08_scaled_up", "08_small_gpt"]
    losses = pd.concat([losses_of(RUNGS[0], 0).assign(rung=stem) for stem in sorted(stems)])
    titles = ["small GPT", "scaled up", "99_something_else"]
    shown = [t.get_text() for t in plot_loss_curves(losses, "title").axes[0].get_legend().texts]
    assert shown == titles
    ticks = plot_ladder(losses, "title").axes[0].get_xticklabels()
    assert [t.get_text().replace("\n", " ") for t in ticks] == titles


def test_a_heat_map_labels_every_row_and_column():
    figure = plot_matrix([[1, 0], [0.5, 0.5]], ["a", "b"], ["c", "d"], "title", "row", "column")
    ax = figure.axes[0]
    assert [t.get_text() for t in ax.get_yticklabels()] == ["a", "b"]
    assert [t.get_text() for t in ax.get_xticklabels()] == ["c", "d"]
