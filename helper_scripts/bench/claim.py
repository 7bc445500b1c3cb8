"""Verify a claim on the record by running it, beside nanoGPT's recipe in the same run.

A claim is a way of lessons/modern/recipes.py, held against a line of data/experiments/record.csv.
RECORD.md has the rules; exits with status 1 if one of them is not kept.
"""

import sys

from lessons.arguments import SEED, Parser
from lessons.errors import BadInput, exits_cleanly
from lessons.files import read_csv
from lessons.modern.recipes import BUDGET, WAYS, run
from lessons.records import EXPERIMENTS_DIR

import pandas as pd
import torch
from scipy.stats import ttest_ind

FEWEST_SEEDS, LARGEST_P, THREADS = 3, 0.01, 2
SLACK = 1.05  # two runs of one recipe differ by so much in time


def losses_and_time(rows: pd.DataFrame, way: str, budget: int) -> tuple[pd.Series, float]:
    """The losses of a way's runs, and its median time as a part of nanoGPT's in the same table.

    Raises BadInput if there are none.
    """
    runs = rows[(rows.way == way) & (rows.budget == budget)]
    nanogpt = rows[(rows.way == "nanogpt") & (rows.budget == 0)]
    if runs.empty or nanogpt.empty:
        lines = rows.groupby(["way", "budget"]).size().index.tolist()
        raise BadInput(f"There is no line for {way} and {budget}; lines are {lines}.")
    return runs.val_loss, runs.seconds.median() / nanogpt.seconds.median()


def objections(claim: tuple[pd.Series, float], line: tuple[pd.Series, float]) -> list[str]:
    """Why a claim does not hold against a line of the record, a sentence each; empty if it does."""
    (claimed, its_time), (standing, time) = claim, line
    found = []
    if claimed.nunique() < FEWEST_SEEDS:
        found.append(f"{claimed.nunique()} seeds are too few: {FEWEST_SEEDS} at least.")
    if claimed.mean() >= standing.mean():
        found.append(f"The mean loss {claimed.mean():.4f} is not below {standing.mean():.4f}.")
    # Welch's test: the two need not spread alike.
    p = ttest_ind(claimed, standing, equal_var=False, alternative="less").pvalue
    if not p < LARGEST_P:
        found.append(f"It may be luck: p is {p:.3g}, and must be below {LARGEST_P}.")
    if its_time > SLACK * time:
        found.append(
            f"It takes {its_time:.3f} of nanoGPT's time in the same run, and the line {time:.3f}."
        )
    return found


@exits_cleanly
def main() -> None:
    parser = Parser(description=__doc__.splitlines()[0])
    parser.add_argument("--way", choices=WAYS, default="joined", help="what is claimed")
    parser.add_argument("--against", choices=WAYS, default="joined", help="whose line")
    parser.add_argument("--budget", type=BUDGET, default=20, help="the line's budget; 0 is steps")
    parser.add_argument("--seconds", type=BUDGET, help="what is spent here (default: the budget)")
    parser.add_argument("--seeds", nargs="+", type=SEED, default=list(range(5)), metavar="SEED",
                        help="one run of each for each of these")  # fmt: skip
    args = parser.parse_args()
    columns = ["way", "budget", "seed", "seconds", "val_loss"]
    line = losses_and_time(
        read_csv(EXPERIMENTS_DIR / "record.csv", columns), args.against, args.budget
    )
    seconds = args.budget if args.seconds is None else args.seconds
    torch.set_num_threads(THREADS)
    rows = []
    for seed in args.seeds:
        for way, budget in (("nanogpt", 0), (args.way, seconds)):
            rows.append({"way": way, "budget": budget, "seed": seed} | run(way, budget, seed))
            print("{way:8} seed {seed}: {seconds:6.1f} s, loss {val_loss:.4f}".format(**rows[-1]),
                  flush=True)  # fmt: skip
    claim = losses_and_time(pd.DataFrame(rows), args.way, seconds)
    print(f"{claim[0].mean():.4f} in {claim[1]:.3f} of nanoGPT's time; on record "
          f"{line[0].mean():.4f} in {line[1]:.3f}.")  # fmt: skip
    found = objections(claim, line)
    print("\n".join(found) or "The claim holds: send it in, as RECORD.md says.")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
