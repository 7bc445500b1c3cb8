"""nanoGPT's recipe for a CPU against the record's two ways, alternating in one run.

It takes 2,000 steps of 12 x 64 characters, they take nine tenths of them, at the same depth and
width. Prints the median seconds, counting included, and the mean validation loss of the last
weights.
"""

from lessons.arguments import COUNT, FEW, Parser
from lessons.errors import exits_cleanly
from lessons.modern.recipes import STEPS, WAYS, run

import pandas as pd


@exits_cleanly
def main() -> None:
    parser = Parser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=FEW, default=3, help="rounds, each with another seed")
    parser.add_argument("--max-iters", type=COUNT, default=STEPS, help="fewer steps, for a try")
    args = parser.parse_args()
    rows = []
    for seed in range(args.rounds):
        for way in WAYS:
            rows.append({"way": way} | run(way, 0, seed, steps=args.max_iters))
            print("{way:8} {seconds:6.1f} s, loss {val_loss:.4f}".format(**rows[-1]), flush=True)
    table = pd.DataFrame(rows).groupby("way", sort=False).agg({"seconds": "median",
                                                               "val_loss": "mean"})  # fmt: skip
    table["of_nanogpt"] = table.seconds / table.seconds["nanogpt"]
    print(table.to_string(float_format="{:.3f}".format))


if __name__ == "__main__":
    main()
