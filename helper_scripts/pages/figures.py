"""Draw loss_curves.png and ladder.png from a folder of loss CSVs, and from nothing else.

A figure names what it was drawn from (`drawn_from`), so that a test sees when it is stale.
"""

from pathlib import Path

from lessons.arguments import Parser
from lessons.corpus import sha256
from lessons.errors import BadInput, exits_cleanly
from lessons.files import whole_file
from lessons.plots import plot_ladder, plot_loss_curves, title_of
from lessons.records import LOSSES_DIR, read_losses
from lessons.results import across, summary

import matplotlib
import pandas as pd
from matplotlib.axes import Axes

IMAGES_DIR = Path(__file__).resolve().parents[2] / "images"
HASH = "Data SHA-256"  # its name in the PNG


def drawn_from(losses: pd.DataFrame) -> str:
    """The SHA-256 of the numbers in a figure: the losses, the published ones, those across."""
    tables = losses, summary(losses).published, pd.Series(across())
    return sha256("".join(table.to_csv(lineterminator="\n") for table in tables))


def draw_across(ax: Axes, marks: dict[str, float]) -> None:
    """A line across the ladder for each loss that is no rung's, with its name."""
    for (name, loss), above in zip(marks.items(), (True, False), strict=False):
        ax.axhline(loss, color="black", linestyle=":" if above else "--", linewidth=1)
        # Of two lines close to each other, one has its name above and the other below.
        ax.annotate(f"{name}: {loss:.3f}", (-0.4, loss), textcoords="offset points",
                    xytext=(0, 3 if above else -3), va="bottom" if above else "top")  # fmt: skip


@exits_cleanly
def main() -> None:
    parser = Parser(description=__doc__.splitlines()[0])
    parser.add_argument("--losses", type=Path, default=LOSSES_DIR, help="folder of loss CSVs")
    parser.add_argument("--out", type=Path, default=IMAGES_DIR, help="folder for the figures")
    args = parser.parse_args()
    matplotlib.use("agg")
    losses = read_losses(args.losses)
    means = summary(losses).val_loss.dropna()
    if means.empty:
        raise BadInput(f"Every run in {args.losses} diverged: measure one that does not.")
    worst, best = title_of(means.index[0]), title_of(means.idxmin())
    fall = f"from {means.iloc[0]:.2f} ({worst}) to {means.min():.2f} ({best})"
    figures = {
        "loss_curves.png": plot_loss_curves(losses, f"The validation loss falls {fall}"),
        "ladder.png": plot_ladder(losses, f"Rung by rung, {fall}"),
    }
    draw_across(figures["ladder.png"].axes[0], across())
    for name, figure in figures.items():
        data = {HASH: drawn_from(losses)}
        with whole_file(args.out / name) as file:  # else a full disk would cut the old one short
            figure.savefig(file, format="png", dpi=120, bbox_inches="tight", metadata=data)
        print(args.out / name)


if __name__ == "__main__":
    main()
