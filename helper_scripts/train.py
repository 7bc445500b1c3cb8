"""Train a GPT on your own text, on one device or, through torchrun, on many."""

import argparse
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from lessons.arguments import SEED, Parser
from lessons.at_scale.checkpoints import Checkpoint
from lessons.at_scale.description import Computation, RunDescription
from lessons.at_scale.distributed import first_on_main, process_group, rank, world_size
from lessons.at_scale.loop import train_at_scale
from lessons.at_scale.memory import check_memory, parameters
from lessons.at_scale.precision import DTYPES, pick_dtype
from lessons.at_scale.run_folder import begin, claimed, describe, read_run, resume
from lessons.at_scale.token_file import open_tokens
from lessons.device import dtype_name, machine_facts, pick_device
from lessons.errors import BadInput, exits_cleanly
from lessons.gpt import GPT
from lessons.presets import PRESETS, TRAINING_RANGES, find_preset

import torch

DEFAULT_SEED = 1337
# The settings of a TrainingConfig that have a flag of their own, and its help.
SETTINGS = {
    "max_iters": "how many steps; with --resume, more than before to train further",
    "eval_interval": "evaluate and save every N steps",
    "learning_rate": "at its peak, such as 1e-3",
    "warmup_iters": "how many steps it takes to reach that rate",
    "dropout": "from 0 to below 1",
    "batch_size": "how many sequences each step learns from",
    "grad_accum_steps": "in how many micro-batches each process takes them, to save memory",
}


def a_path(text: str) -> Path:
    if not text:
        raise argparse.ArgumentTypeError("it is empty")
    return Path(text)


def parse_arguments() -> argparse.Namespace:
    parser = Parser(description=__doc__)
    parser.add_argument("--preset", help=f"shape and settings: {', '.join(PRESETS)}")
    parser.add_argument("--text", type=Path, help="your own text (default: Tiny Shakespeare)")
    parser.add_argument("--out", type=a_path, help="folder of the run (default: runs/PRESET)")
    parser.add_argument("--resume", action="store_true", help="continue the run in --out")
    parser.add_argument("--compile", action="store_true", help="torch.compile the model first")
    parser.add_argument(
        "--dtype", default="auto", help=f"{', '.join(DTYPES)}, or auto: the best for the device"
    )
    parser.add_argument("--device", help="cpu, cuda or mps (default: CUDA where there is one)")
    parser.add_argument("--seed", type=SEED, help=f"the run's (default: {DEFAULT_SEED})")
    preset = parser.add_argument_group("to override the preset")
    for name, meaning in SETTINGS.items():
        flag, numbers = "--" + name.replace("_", "-"), TRAINING_RANGES[name]
        metavar = "N" if numbers.whole else "X"
        preset.add_argument(flag, type=numbers, metavar=metavar, help=meaning)
    return parser.parse_args()


def find_run(args: argparse.Namespace) -> tuple[Path, RunDescription | None]:
    """The run's folder, and the run that it holds, if any.

    Raises BadInput for flags that contradict each other or the folder.
    """
    if args.preset is None and not args.resume:
        raise BadInput(f"Name what to train with --preset: {', '.join(PRESETS)}.")
    if args.preset is not None:
        find_preset(args.preset)
    elif args.out is None:
        raise BadInput("Name the folder of the run to resume, with --out.")
    folder = args.out or Path("runs") / args.preset
    run = read_run(folder)
    if args.resume and run is None:
        raise BadInput(f"{folder} holds no run to resume: leave out --resume to begin one.")
    if run is not None and not args.resume:
        raise BadInput(
            f"{folder} holds a run already (preset {run.preset}, seed {run.seed}): "
            "continue it with --resume, or name another folder with --out."
        )
    return folder, run


def prepare(
    args: argparse.Namespace, device: torch.device, claims: ExitStack
) -> tuple[Path, RunDescription, Checkpoint | None]:
    """Claim the folder, check everything, then change files: (folder, run, where it resumes)."""
    folder, run = find_run(args)
    pick_dtype(device, 1, args.dtype)  # refuses what the device cannot do
    claims.enter_context(claimed(folder))
    folder, run = find_run(args)  # again: until now another process could train there
    given = {name: getattr(args, name) for name in SETTINGS}
    changes = {name: value for name, value in given.items() if value is not None}

    def fits(run: RunDescription) -> None:
        check_memory(run.preset, run.shape, run.training, world_size(), device)

    if run is not None:
        run, checkpoint = resume(folder, run, args.preset, args.seed, changes, args.text, fits)
    else:
        seed = DEFAULT_SEED if args.seed is None else args.seed
        run, checkpoint = begin(folder, args.preset, seed, changes, args.text, fits), None
    return folder, run, checkpoint


def train(args: argparse.Namespace, device: torch.device, claims: ExitStack) -> None:
    """Train, and say at the end how it went; the folder stays claimed until `claims` ends."""
    folder, run, checkpoint = first_on_main(lambda: prepare(args, device, claims))
    dtype = pick_dtype(device, run.shape.n_embd, args.dtype)
    computation = Computation(
        parameters=parameters(run.shape),
        **machine_facts(device),
        dtype=dtype_name(dtype),
        processes=world_size(),
        threads_per_process=torch.get_num_threads(),
    )
    run = replace(run, computation=computation)
    if rank() == 0:
        describe(folder, run)
        print(f"{folder}: {computation.parameters:,} parameters, {computation.dtype} on "
              f"{computation.device}", flush=True)  # fmt: skip
    torch.manual_seed(run.seed)
    model = GPT(run.shape, run.training.dropout).to(device)
    losses = train_at_scale(model, *open_tokens(folder), run.training, seed=run.seed, dtype=dtype,
                            compile=args.compile, folder=folder, run=run,
                            resume_from=checkpoint and checkpoint.contents)  # fmt: skip
    if rank() == 0:
        best, last = losses.loc[losses.val_loss.idxmin()], losses.iloc[-1]
        describe(folder, run, last.seconds)
        print(
            f"Validation loss {last.val_loss:.4f} at step {last.step:.0f}, lowest "
            f"{best.val_loss:.4f} at step {best.step:.0f}. To read what it writes: "
            f'make sample ARGS="--run {folder}"; to train it further: --resume and --max-iters.'
        )


def memory_is_full(error: Exception) -> bool:
    """Whether PyTorch ran out of memory, which it reports differently on each device."""
    kinds = (torch.cuda.OutOfMemoryError, MemoryError)
    return isinstance(error, kinds) or "can't allocate memory" in str(error)


@exits_cleanly
def main() -> None:
    args = parse_arguments()
    with process_group(pick_device(args.device)) as device, ExitStack() as claims:
        try:
            train(args, device, claims)
        except (RuntimeError, MemoryError) as error:
            if not memory_is_full(error):
                raise
            raise BadInput(
                f"The memory of this {device.type} is full: raise --grad-accum-steps, or choose a "
                "smaller preset."
            ) from None


if __name__ == "__main__":
    main()
