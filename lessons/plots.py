"""Plumbing · figures: loss curves, the ladder, heat maps. Each can be read without colour."""

import re
from collections.abc import Iterable
from io import BytesIO
from itertools import accumulate

from lessons.ladder import LADDER
from lessons.results import in_order, summary

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import PIL.Image
import seaborn as sns
from IPython.display import Image, display
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Colours by Tol and by Okabe and Ito, which colour-blind readers can tell apart too.
COLORS = ["#CC6677", "#663333", "#E69F00", "#AA4499", "#56B4E9", "#D55E00", "#332288", "#117733",
          "#CC79A7", "#882255"]  # fmt: skip
# One marker more than colours, so that no two pairs are alike; each with its size in points.
MARKERS = [("o", 7), ("X", 8), ("s", 7), ("P", 8), ("D", 7), ("v", 8), ("^", 8), ("*", 12),
           (">", 8), ("p", 8), ("<", 8)]  # fmt: skip
DASHES = ["-", (0, (4, 1.5)), (0, (1, 1)), (0, (5, 1, 1, 1))]


def title_of(stem: str) -> str:
    """The rung's title for the name of a loss file: 02_single_head -> single head."""
    return next((rung.title for rung in LADDER if rung.stem == stem), stem)


def show(figure: Figure, alt: str) -> None:
    """Display a figure in a notebook, with a text for readers who cannot see it, and close it."""
    png, small = BytesIO(), BytesIO()
    figure.savefig(png, format="png", dpi=100, bbox_inches="tight")
    plt.close(figure)
    # A palette makes it half as large in the notebook; Pillow's default one mixes up rare colours.
    picture = PIL.Image.open(png).convert("RGB").quantize(method=PIL.Image.Quantize.MAXCOVERAGE)
    picture.save(small, format="png", optimize=True)
    display(Image(data=small.getvalue(), metadata={"alt": alt}))


def labels_of(text: str) -> list[str]:
    """The characters of a text as labels, with spaces and line breaks made visible."""
    return [repr(ch)[1:-1].replace(" ", "␣") for ch in text]


def styles_of(stems: Iterable[str]) -> dict[str, dict]:
    """How each loss file is drawn, in every figure: keywords of `ax.plot`, in ladder order.

    A rung's style depends on its place on the ladder alone; other runs are black and hollow.
    """
    stems, ladder = in_order(stems), [rung.stem for rung in LADDER]
    others = [stem for stem in stems if stem not in ladder]
    styles = {}
    for stem in stems:
        place = (others if stem in others else ladder).index(stem)
        color = "black" if stem in others else COLORS[place % len(COLORS)]
        face, edge = ("white", color) if stem in others else (color, "white")
        marker, size = MARKERS[place % len(MARKERS)]
        styles[stem] = {
            "color": color, "linestyle": DASHES[place % len(DASHES)], "marker": marker,
            "markersize": size, "markerfacecolor": face, "markeredgecolor": edge,
        }  # fmt: skip
    return styles


def plot_loss_curves(losses: pd.DataFrame, title: str, ax: Axes | None = None) -> Figure:
    """Validation loss against step: a line per rung for the mean, a band for the sd over seeds.

    `losses` has the columns rung, seed, step, val_loss, as `read_losses` returns them. To the
    right of the axes stand the names, in the order in which the lines end. Lines that end too
    close together to be told apart are drawn once more, larger, in an inset.
    """
    ax = ax or plt.subplots(figsize=(8, 5), layout="constrained")[1]
    by_step = losses.groupby(["rung", "step"]).val_loss
    # skipna=False ends a line where one seed diverges: the mean of the rest would look too good.
    means = by_step.agg(lambda losses: losses.mean(skipna=False))
    curves = pd.DataFrame({"loss": means, "sd": by_step.std().fillna(0.0)})
    last_losses = curves.loss.groupby("rung").tail(1).droplevel("step")
    curves = curves[np.isfinite(curves.loss)].reset_index()
    ends = curves.groupby("rung")[["step", "loss"]].last().reindex(last_losses.index)
    styles = styles_of(losses.rung)
    draw_curves(ax, curves, styles)
    ax.margins(x=0.02)
    ax.set(title=title, xlabel="training step", ylabel="validation loss (nats per character)")
    # The first loss is near ln 65 for every rung; what matters lies below the later ones.
    later = curves[curves.step > 0].loss
    if len(later):
        ax.set_ylim(later.min() - 0.05, later.max() + 0.15)
        enlarge_close_ends(ax, curves, ends, styles)
    name_ends(ax, ends, last_losses, styles)
    sns.despine(ax=ax)
    return ax.figure


def draw_curves(ax: Axes, curves: pd.DataFrame, styles: dict[str, dict]) -> None:
    """A line and a band for each rung of `curves`, which has columns rung, step, loss and sd."""
    for stem, style in styles.items():
        curve = curves[curves.rung == stem]
        ax.plot(curve.step, curve.loss, label=title_of(stem), **style)
        ax.fill_between(curve.step, curve.loss - curve.sd, curve.loss + curve.sd,
                        color=style["color"], alpha=0.15, linewidth=0)  # fmt: skip


def enlarge_close_ends(
    ax: Axes, curves: pd.DataFrame, ends: pd.DataFrame, styles: dict[str, dict]
) -> None:
    """An inset with the last steps of the largest group of lines whose ends nearly touch."""
    low, high = ax.get_ylim()
    ends = ends.sort_values(["step", "loss"])
    # Closer than this share of the axes, markers hide each other.
    group = ((ends.loss.diff() > 0.03 * (high - low)) | (ends.step.diff() != 0)).cumsum()
    close = ends[group == group.mode().max()]
    if len(close) < 2:
        return
    inset = ax.inset_axes([0.42, 0.62, 0.58, 0.32])
    # No line may pass behind the inset or the numbers below it.
    under = curves[curves.step > 0.4 * curves.step.max()]
    ax.set_ylim(low, max(high, low + ((under.loss + under.sd).max() - low) / 0.53))
    shown = curves[curves.rung.isin(close.index) & (curves.step >= 0.7 * close.step.max())]
    draw_curves(inset, shown, {stem: styles[stem] for stem in in_order(close.index)})
    inset.set_title("the frame, enlarged", fontsize=9)
    inset.tick_params(labelsize=8)
    inset.locator_params(nbins=4)
    (left, right), (bottom, top) = inset.get_xlim(), inset.get_ylim()
    ax.indicate_inset((left, bottom, right - left, top - bottom), edgecolor="black")


def name_ends(
    ax: Axes, ends: pd.DataFrame, last_losses: pd.Series, styles: dict[str, dict]
) -> None:
    """Marker, name and last loss of each line, to the right of the axes."""
    low, high = ax.get_ylim()
    ends = ends.sort_values("loss")
    # At the height of its line's end, but a line of text away from the next name: of two that
    # collide, the upper one moves up by half of what is missing, the lower one down by half.
    text = 14 / 72 * ax.figure.dpi / ax.get_window_extent().height
    wanted = np.fmin((ends.loss - low) / (high - low), 1 - text * np.arange(len(ends))[::-1])
    up = [*accumulate(wanted, lambda below, own: max(own, below + text))]
    down = [*accumulate(wanted[::-1], lambda above, own: min(own, above - text))][::-1]
    heights = np.mean([up, down], axis=0)
    leader = {"arrowstyle": "-", "color": "gray", "linestyle": ":", "shrinkA": 0, "shrinkB": 0}
    for (stem, *end), height in zip(ends.itertuples(), heights, strict=True):
        ax.annotate("", end, (1.04, height), textcoords="axes fraction", arrowprops=leader)
        ax.plot(1.04, height, transform=ax.transAxes, clip_on=False, **styles[stem])
        name = f"{title_of(stem)} {last_losses[stem]:.3f}"
        ax.text(1.06, height, name, transform=ax.transAxes, va="center")


def plot_ladder(losses: pd.DataFrame, title: str) -> Figure:
    """The final validation loss of each rung, mean and sd over seeds, and the published one."""
    table = summary(losses)
    figure, ax = plt.subplots(figsize=(8, 4.5))
    x = np.arange(len(table))
    ax.errorbar(x, table.val_loss, yerr=table.sd.fillna(0.0), fmt="none", ecolor="gray", capsize=7,
                label="measured here, mean ± sd over seeds")  # fmt: skip
    rungs = table.index.isin([rung.stem for rung in LADDER])
    ax.plot(x[rungs], table.val_loss[rungs], color="gray", zorder=1)
    for place, loss, style in zip(x, table.val_loss, styles_of(table.index).values(), strict=True):
        ax.plot(place, loss, **style)
    if table.published.notna().any():
        ax.plot(x, table.published, "_", color="black", markersize=18, label="published elsewhere")
    # Below the mark, its spread and the published figure, whichever is lowest; to the left, where
    # the falling line does not pass.
    lowest = np.fmin(table.val_loss - table.sd.fillna(0.0), table.published)
    for place, loss, foot in zip(x, table.val_loss, lowest, strict=True):
        ax.annotate(f"{loss:.3f}", (place, foot), textcoords="offset points", xytext=(5, -18),
                    ha="right")  # fmt: skip
    ax.set_xticks(x, [re.sub("([-_])| ", r"\1\n", title_of(stem)) for stem in table.index])
    ax.set(title=title, ylabel="validation loss (nats per character)")
    ax.margins(x=0.1, y=0.15)
    ax.legend(frameon=False)
    sns.despine(ax=ax)
    return figure


def plot_matrix(
    matrix: np.ndarray, rows: list[str], columns: list[str], title: str,
    row_label: str, column_label: str,
) -> Figure:  # fmt: skip
    """A matrix as a heat map with a label at each row and column; dark is large.

    For attention weights (T, T), rows are the positions that look, columns those that they see.
    """
    size = max(4.0, 0.16 * len(rows))
    figure, ax = plt.subplots(figsize=(size + 1.2, size))
    sns.heatmap(matrix, cmap="Greys", square=True, ax=ax, xticklabels=columns, yticklabels=rows,
                cbar_kws={"shrink": 0.6})  # fmt: skip
    ax.collections[0].colorbar.outline.set_visible(True)
    for side in ax.spines.values():
        side.set_visible(True)
    ax.tick_params(length=0, labelsize=8)
    ax.set_yticklabels(ax.get_yticklabels(), rotation=0)
    ax.set_xticklabels(ax.get_xticklabels(), rotation=0)
    ax.set(title=title, xlabel=column_label, ylabel=row_label)
    return figure
