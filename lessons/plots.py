"""Plumbing · figures: loss curves, the ladder, heat maps. Each one reads without colour."""

from io import BytesIO

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


def title_of(stem: str) -> str:
    """The rung's title for the name of a loss file: 02_single_head -> single head."""
    return next((rung.title for rung in LADDER if rung.stem == stem), stem)


def show(figure: Figure, alt: str) -> None:
    """Display a figure in a notebook with a text for readers who cannot see it; closes it."""
    png, small = BytesIO(), BytesIO()
    figure.savefig(png, format="png", dpi=100, bbox_inches="tight")
    plt.close(figure)
    # Sixty-four colours are enough for a figure, and make it half as large in the notebook.
    PIL.Image.open(png).convert("RGB").quantize(64).save(small, format="png", optimize=True)
    display(Image(data=small.getvalue(), metadata={"alt": alt}))


def labels_of(text: str) -> list[str]:
    """The characters of a text as labels, with spaces and line breaks made visible."""
    return [repr(ch)[1:-1].replace(" ", "␣") for ch in text]


def plot_loss_curves(losses: pd.DataFrame, title: str, ax: Axes | None = None) -> Figure:
    """Validation loss against step: a line per rung for the mean, a band for the sd over seeds.

    `losses` has the columns rung, seed, step, val_loss, as `read_losses` returns them.
    """
    ax = ax or plt.subplots(figsize=(8, 5))[1]
    shown = losses.assign(rung=losses.rung.map(title_of))
    titles = [title_of(stem) for stem in in_order(losses.rung)]
    sns.lineplot(shown, x="step", y="val_loss", hue="rung", style="rung", hue_order=titles,
                 style_order=titles, errorbar="sd", markers=True, markersize=7, palette="flare",
                 ax=ax)  # fmt: skip
    ax.set(title=title, xlabel="training step", ylabel="validation loss (nats per character)")
    # The first loss is near ln 65 for every rung; what matters lies below the later ones.
    later = losses[losses.step > 0].val_loss
    if len(later):
        ax.set_ylim(later.min() - 0.05, later.max() + 0.15)
    ax.legend(title=None, frameon=False, ncols=2)
    sns.despine(ax=ax)
    return ax.figure


def plot_ladder(losses: pd.DataFrame, title: str) -> Figure:
    """The final validation loss of each rung, mean and sd over seeds, and the published one."""
    table = summary(losses)
    figure, ax = plt.subplots(figsize=(8, 4.5))
    x = np.arange(len(table))
    ax.errorbar(x, table.val_loss, yerr=table.sd.fillna(0.0), fmt="o-", color="black", capsize=5,
                label="measured here, mean ± sd over seeds")  # fmt: skip
    if table.published.notna().any():
        ax.plot(x, table.published, "D", mfc="none", color="tab:red", label="published elsewhere")
    # Below the mark, its spread and the published figure, whichever is lowest; to the left, where
    # the falling line does not pass.
    lowest = np.fmin(table.val_loss - table.sd.fillna(0.0), table.published)
    for place, loss, foot in zip(x, table.val_loss, lowest, strict=True):
        ax.annotate(f"{loss:.3f}", (place, foot), textcoords="offset points", xytext=(5, -18),
                    ha="right")  # fmt: skip
    ax.set_xticks(
        x, [title_of(stem).replace(" ", "\n").replace("-", "-\n") for stem in table.index]
    )
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

    For attention weights (T, T), rows are the positions that look and columns those looked at.
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
