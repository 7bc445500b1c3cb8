import sys
from dataclasses import replace
from io import BytesIO

import figures as plot_loss
from lessons import plots
from lessons.ladder import LADDER, RUNGS
from lessons.plots import plot_ladder, plot_loss_curves, plot_matrix, styles_of, title_of
from lessons.records import read_losses
from made_up import losses_of

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import PIL.Image
import pytest
from matplotlib.colors import to_rgb

matplotlib.use("agg")


@pytest.fixture(autouse=True)
def no_figure_stays_open():
    yield
    plt.close("all")


@pytest.fixture
def folder(tmp_path):
    """Two loss files, one of a rung that is not on the ladder."""
    for name in ("02_single_head", "99_something_else"):
        losses_of(RUNGS[1], 0).to_csv(tmp_path / f"{name}.csv", index=False)
    return tmp_path


def losses_of_all(stems):
    """Made-up losses, the same for each of these loss files."""
    return pd.concat([losses_of(RUNGS[0], 0).assign(rung=stem) for stem in stems])


def lines_by_name(ax):
    return {line.get_label(): line for line in ax.get_lines() if line.get_label()[0] != "_"}


def looks(line):
    return line.get_color(), line.get_marker(), line.get_markerfacecolor()


def recorded(rungs):
    """The losses on record of these rungs, drawn and laid out."""
    losses = read_losses()
    figure = plot_loss_curves(losses[losses.rung.isin([rung.stem for rung in rungs])], "title")
    figure.canvas.draw()
    return figure.axes[0]


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


def test_a_figure_that_cannot_be_written_whole_leaves_the_old_one(monkeypatch, folder):
    (folder / "images").mkdir()
    (folder / "images" / "loss_curves.png").write_bytes(b"old")

    def cut_off(self, file, **_):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(matplotlib.figure.Figure, "savefig", cut_off)
    with pytest.raises(SystemExit):
        draw(monkeypatch, "--losses", folder, "--out", folder / "images")
    assert (folder / "images" / "loss_curves.png").read_bytes() == b"old"
    assert len(list((folder / "images").iterdir())) == 1


def test_where_every_run_diverged_there_is_nothing_to_draw(monkeypatch, tmp_path, capsys):
    rows = "seed,step,train_loss,val_loss,seconds\n0,0,4.1,4.1,0.1\n0,4,,,0.2\n"
    (tmp_path / "01_bigram.csv").write_text(rows)
    with pytest.raises(SystemExit):
        draw(monkeypatch, "--losses", tmp_path, "--out", tmp_path / "images")
    assert "diverged: measure one that does not" in capsys.readouterr().err


def test_a_loss_file_is_shown_under_the_title_of_its_rung_or_its_own_name():
    assert title_of("02_single_head") == "single head"
    assert title_of("my_own_run") == "my_own_run"


def test_the_ladder_is_climbed_in_its_order_and_not_in_the_files():
    stems = ["99_something_else", "08_scaled_up", "08_small_gpt"]
    losses = losses_of_all(sorted(stems))
    _, shown = plot_loss_curves(losses, "title").axes[0].get_legend_handles_labels()
    assert shown == ["small GPT", "scaled up", "99_something_else"]
    ticks = plot_ladder(losses, "title").axes[0].get_xticklabels()
    assert [t.get_text() for t in ticks] == ["small\nGPT", "scaled\nup", "99_\nsomething_\nelse"]


def test_what_is_no_rung_is_a_line_across_the_ladder_with_its_name_and_loss():
    ax = plot_ladder(losses_of_all(["01_bigram"]), "title").axes[0]
    plot_loss.draw_across(ax, {"counting": 1.5})
    assert "counting: 1.500" in [text.get_text() for text in ax.texts]
    assert [1.5, 1.5] in [list(line.get_ydata()) for line in ax.lines]


def test_a_rung_has_the_same_colour_and_marker_in_every_subset_and_in_both_figures():
    stems = [rung.stem for rung in LADDER]
    everywhere = lines_by_name(plot_loss_curves(losses_of_all(stems), "title").axes[0])
    assert len(everywhere) == len(LADDER)
    for subset in (*([stem] for stem in stems), stems[1:3], stems[::-2], ["99_else", stems[6]]):
        losses = losses_of_all(subset)
        curves = lines_by_name(plot_loss_curves(losses, "title").axes[0])
        points = {line.get_xdata()[0]: line for line in plot_ladder(losses, "title").axes[0].lines
                  if line.get_marker() not in ("_", "None")}  # fmt: skip
        for place, stem in enumerate(styles_of(subset)):
            name = title_of(stem)
            assert looks(points[place]) == looks(curves[name])
            assert stem not in stems or looks(curves[name]) == looks(everywhere[name])
        plt.close("all")


def test_no_two_rungs_share_colour_and_marker_however_long_the_ladder(monkeypatch):
    now = styles_of(rung.stem for rung in LADDER)
    new = [replace(RUNGS[0], number=number, title=f"new {number}") for number in range(10, 40)]
    monkeypatch.setattr(plots, "LADDER", (*LADDER, *new))
    later = styles_of(rung.stem for rung in plots.LADDER)
    assert {stem: later[stem] for stem in now} == now
    pairs = [(style["color"], style["marker"]) for style in later.values()]
    assert len(set(pairs)) == len(plots.LADDER)
    assert all(len(set(of_ten)) == 10 for of_ten in zip(*pairs[:10], strict=True))


def test_runs_that_are_no_rungs_look_like_none_and_unlike_each_other():
    strangers = styles_of(["99_something_else", "my_own_run", RUNGS[0].stem])
    rung = strangers.pop(RUNGS[0].stem)
    assert all(style["color"] not in plots.COLORS for style in strangers.values())
    assert all(style["markerfacecolor"] == "white" for style in strangers.values())
    assert rung["color"] in plots.COLORS and rung["markerfacecolor"] == rung["color"]
    assert len({style["marker"] for style in strangers.values()}) == 2


# How linear RGB looks without red, green or blue cones: Machado, Oliveira and Fernandes, 2009.
BLIND = {
    "protan": [[0.1523, 1.0526, -0.2049], [0.1145, 0.7863, 0.0992], [-0.0039, -0.0481, 1.0520]],
    "deutan": [[0.3674, 0.8606, -0.2280], [0.2801, 0.6725, 0.0474], [-0.0118, 0.0429, 0.9689]],
    "tritan": [[1.2555, -0.0767, -0.1788], [-0.0784, 0.9309, 0.1476], [0.0047, 0.6914, 0.3039]],
}


@pytest.mark.parametrize("kind", BLIND)
def test_colour_blind_readers_tell_the_colours_of_the_rungs_apart(kind):
    linear = np.array([to_rgb(color) for color in plots.COLORS]) ** 2.2
    seen = np.clip(linear @ np.array(BLIND[kind]).T, 0, 1)
    # To CIELAB, where a distance of 2 can just be seen side by side.
    xyz = seen @ np.array([[0.434, 0.219, 0.018], [0.376, 0.715, 0.109], [0.190, 0.072, 0.873]])
    x, y, z = np.where(xyz > 0.0089, np.cbrt(xyz), 7.787 * xyz + 0.138).T
    lab = np.stack([116 * y, 500 * (x - y), 200 * (y - z)], axis=1)
    distances = np.linalg.norm(lab[:, None] - lab, axis=-1)
    assert distances[np.triu_indices(len(lab), 1)].min() > 12


@pytest.mark.parametrize("rungs", [RUNGS, RUNGS[4:7]], ids=["all", "lesson 7"])
def test_residual_post_norm_and_pre_norm_are_told_apart_without_colour(rungs):
    ax = recorded(rungs)
    lines = lines_by_name(ax.child_axes[0])
    assert list(lines) == ["residual", "post-norm", "pre-norm"]
    assert len({line.get_marker() for line in lines.values()}) == 3
    styles = styles_of(rung.stem for rung in RUNGS[4:7])
    assert len({style["linestyle"] for style in styles.values()}) == 3
    ends = [line.get_transform().transform(line.get_xydata()[-1])[1] for line in lines.values()]
    assert (-np.diff(ends) * 72 / ax.figure.dpi > 4).all()  # points: half a marker


def test_the_inset_hides_no_line():
    ax = recorded(RUNGS)
    box = ax.child_axes[0].get_tightbbox()
    for line in lines_by_name(ax).values():
        assert not line.get_path().transformed(line.get_transform()).intersects_bbox(box, False)


def test_lines_that_end_far_apart_have_no_inset():
    assert not recorded(RUNGS[2:4]).child_axes


def test_the_names_stand_in_the_order_of_the_losses_and_apart():
    ax = recorded(RUNGS)
    names = [text for text in ax.texts if text.get_text()]
    losses = [float(text.get_text().split()[-1]) for text in names]
    boxes = [text.get_window_extent() for text in names]
    assert len(names) == len(RUNGS) and losses == sorted(losses)
    assert all(low.y1 <= high.y0 for low, high in zip(boxes, boxes[1:], strict=False))


def test_a_rung_whose_seed_diverged_says_so_and_its_line_stops_there():
    losses = pd.concat([losses_of(RUNGS[0], seed).assign(rung=RUNGS[0].stem) for seed in (0, 1)])
    losses.loc[(losses.seed == 1) & (losses.step == 4), "val_loss"] = float("nan")
    ax = plot_loss_curves(losses, "title").axes[0]
    assert list(lines_by_name(ax)["bigram"].get_xdata()) == [0, 2]
    assert "bigram nan" in [text.get_text() for text in ax.texts]
    nothing = losses.assign(val_loss=float("nan"))
    assert "bigram nan" in [t.get_text() for t in plot_loss_curves(nothing, "title").axes[0].texts]


def test_a_heat_map_labels_every_row_and_column():
    figure = plot_matrix([[1, 0], [0.5, 0.5]], ["a", "b"], ["c", "d"], "title", "row", "column")
    ax = figure.axes[0]
    assert [t.get_text() for t in ax.get_yticklabels()] == ["a", "b"]
    assert [t.get_text() for t in ax.get_xticklabels()] == ["c", "d"]


def test_a_figure_in_a_notebook_keeps_the_colour_of_every_rung(monkeypatch):
    shown = []
    monkeypatch.setattr(plots, "display", shown.append)
    plots.show(plot_ladder(read_losses(), "title"), "alt text")
    pixels = np.array(PIL.Image.open(BytesIO(shown[0].data)).convert("RGB"), dtype=int)
    for style in styles_of(rung.stem for rung in RUNGS).values():
        wanted = np.round(255 * np.array(to_rgb(style["color"])))
        assert np.abs(pixels - wanted).max(axis=-1).min() <= 3  # of 255


def test_a_figure_of_other_losses_or_with_other_lines_is_another_one(monkeypatch):
    losses = read_losses()
    other = losses.assign(val_loss=losses.val_loss.where(losses.index > 0, 9))
    assert plot_loss.drawn_from(other) != plot_loss.drawn_from(losses)
    assert plot_loss.drawn_from(losses.copy()) == plot_loss.drawn_from(losses)
    drawn = plot_loss.drawn_from(losses)
    monkeypatch.setattr(plot_loss, "across", lambda: {"counting": 1.5})
    assert plot_loss.drawn_from(losses) != drawn
