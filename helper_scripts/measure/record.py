"""Measure the record: the lowest validation loss that two CPU cores reach in a given time.

Writes data/experiments/record.csv, a row for each way, budget and seed, as it is measured. Ways
are nanoGPT's recipe for a CPU, a modern GPT alone (plain), and the same beside a count model
(joined). A budget is a number of seconds, or 0: then nanoGPT's recipe takes its 2,000 steps, and
the others nine tenths of them, so that they take no longer. The ways alternate, so that their times
can be compared.
"""

from experiment import experiment_parser, measure_missing
from lessons.corpus import load_text, sha256
from lessons.device import machine_facts, pick_device
from lessons.errors import exits_cleanly
from lessons.modern.recipes import BUDGET, LONG_FROM, ORDER, STEPS, WAYS, run
from lessons.records import Record

import torch

SECONDS = (0, 5, 10, 20, 60)
MEASURED = ["steps", "seconds", "parameters", "val_loss"]


@exits_cleanly
def main() -> None:
    parser = experiment_parser(__doc__, range(3))
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS), help="which ways")
    parser.add_argument("--seconds", nargs="+", type=BUDGET, default=SECONDS,
                        help="budgets; 0 is nanoGPT's steps")  # fmt: skip
    parser.add_argument("--held-out", action="store_true",
                        help="measure on held-out training text, and record nothing")  # fmt: skip
    args = parser.parse_args()
    steps = args.max_iters or STEPS
    # In short budgets only what is joined says much; the others are what it is held against.
    runs = [(way, budget, seed) for seed in args.seeds for budget in args.seconds
            for way in args.ways if budget == 0 or way == "joined"
            or (way == "plain" and budget >= LONG_FROM)]  # fmt: skip
    if args.held_out:
        for key in runs:
            print(*key, run(*key, held_out=True, steps=steps), flush=True)
        return
    keys = ["way", "budget", "seed"]
    setting = {"experiment": "record", "order": ORDER, "steps_of_budget_0": steps,
               "text_sha256": sha256(load_text())}  # fmt: skip
    record = Record(args.out, "record", setting, keys, keys + MEASURED)
    measured_on = machine_facts(pick_device("cpu")) | {"threads": torch.get_num_threads()}
    measure_missing(record, runs, lambda *key: [run(*key, steps=steps)], args.force, measured_on)


if __name__ == "__main__":
    main()
