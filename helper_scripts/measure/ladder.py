"""Train the rungs of the ladder and record their losses; what is on record is not run again."""

import argparse
import multiprocessing
import os
import signal
import sys
import threading
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from experiment import experiment_parser
from lessons.arguments import Range
from lessons.console import use_consoles
from lessons.corpus import load_text
from lessons.device import machine_facts, pick_device
from lessons.errors import BadInput, exits_cleanly
from lessons.files import check_writable
from lessons.ladder import RUNGS, Rung, find_rungs, run_rung
from lessons.records import LOSSES_DIR, Record, rung_record
from lessons.results import summary

import pandas as pd
import torch
from tqdm import tqdm

JOBS = Range(1, 61)  # Windows cannot wait for more processes at once
Task = tuple[Rung, int]  # a rung and a seed


def parse_arguments() -> argparse.Namespace:
    parser = experiment_parser(__doc__, range(5), LOSSES_DIR)
    every = [rung.name for rung in RUNGS]
    parser.add_argument("--rungs", nargs="+", default=every, metavar="RUNG",
                        help="names or numbers (default: all)")  # fmt: skip
    parser.add_argument("--device", default="cpu", help="cpu (default, as for the recorded "
                        "losses), cuda or mps")  # fmt: skip
    parser.add_argument("--text", type=Path, help="your own text (default: Tiny Shakespeare)")
    parser.add_argument("--jobs", type=JOBS, help="seeds side by side, a thread each (default: 2 "
                        "on a CPU that has two cores, else 1)")  # fmt: skip
    args = parser.parse_args()
    if args.jobs is None:
        args.jobs = min(2, os.cpu_count() or 1) if args.device == "cpu" else 1
    return args


def start_worker(lock, places, threads: int) -> None:
    """Prepare a worker process: its threads, its line on the screen, and its end."""
    global place
    place = places.get()
    use_consoles()
    torch.set_num_threads(threads)
    tqdm.set_lock(lock)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C
    # If the parent is killed, nobody is left to take the losses.
    threading.Thread(target=end_with_parent, daemon=True).start()


def end_with_parent() -> None:
    multiprocessing.parent_process().join()
    os._exit(1)


def measure(task: Task, text: str, device: torch.device) -> pd.DataFrame:
    """Train one seed in a worker process."""
    rung, seed = task
    bar = tqdm(total=rung.settings.max_iters, unit="step", position=place, leave=False,
               desc=f"{rung.title}, seed {seed}")  # fmt: skip
    return run_rung(rung, text, seed, device, bar)[1]


def run(
    tasks: list[Task],
    records: dict[Rung, Record],
    text: str,
    device: torch.device,
    measured_on: dict,
) -> None:
    """Measure the tasks, some side by side, and record each as it ends."""
    jobs, threads = measured_on["seeds_side_by_side"], measured_on["threads_per_seed"]
    # Not fork: a forked process cannot use CUDA, and lacks the threads that torch has started.
    spawn = multiprocessing.get_context("spawn")
    places = spawn.SimpleQueue()
    for number in range(jobs):
        places.put(number + 1)
    with (
        ProcessPoolExecutor(jobs, spawn, start_worker, (spawn.RLock(), places, threads)) as pool,
        tqdm(total=len(tasks), unit="seed", desc="ladder", position=0) as bar,
    ):
        try:
            futures = {pool.submit(measure, task, text, device): task for task in tasks}
            for future in as_completed(futures):
                rung, seed = futures[future]
                losses = future.result()
                records[rung].add(losses, measured_on)
                last = losses.iloc[-1]
                bar.write(
                    f"{rung.title}, seed {seed}: validation loss {last.val_loss:.4f} "
                    f"after {last.seconds:.1f} s"
                )
                bar.update()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in multiprocessing.active_children():
                process.terminate()
            raise


def print_table(records: dict[Rung, Record]) -> None:
    """The rungs that were asked for, with all their recorded seeds."""
    table = summary(pd.concat(r.rows().assign(rung=rung.stem) for rung, r in records.items()))
    table.insert(0, "parameters", [record.setting["parameters"] for record in records.values()])
    print(table.round({"val_loss": 4, "sd": 4, "seconds": 1}).to_string())


@exits_cleanly
def main() -> None:
    args = parse_arguments()
    device = pick_device(args.device)
    rungs = find_rungs(args.rungs)
    text = load_text(args.text)
    if args.max_iters:
        rungs = [rung.shortened(max_iters=args.max_iters) for rung in rungs]
    records = {rung: rung_record(args.out, rung, text) for rung in rungs}
    threads = 1 if args.jobs > 1 else torch.get_num_threads()
    jobs = {"seeds_side_by_side": args.jobs, "threads_per_seed": threads}
    measured_on = machine_facts(device) | jobs
    tasks = []
    for rung, record in records.items():
        tasks += [(rung, seed) for seed in record.missing(args.seeds, measured_on, args.force)]
    if not tasks:
        print(f"All of this is on record in {args.out}: to measure it again, name another --out.")
    else:
        check_writable(args.out)
        try:
            run(tasks, records, text, device, measured_on)
        except KeyboardInterrupt:
            sys.exit(
                "\nStopped. Finished seeds are recorded; the same command, without --force, "
                "continues from there."
            )
        except BrokenProcessPool:
            raise BadInput(
                "A worker process was killed, perhaps because memory ran out: finished seeds are "
                "recorded; run the same command again, with --jobs 1 if it happens again."
            ) from None
    print_table(records)


if __name__ == "__main__":
    main()
