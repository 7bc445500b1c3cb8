"""Train a GPT on your own text, on one device or, through torchrun, on many."""

import argparse
import json
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path

import torch
from filelock import FileLock, Timeout

from lessons.checkpoints import find_checkpoint, read_checkpoint
from lessons.corpus import write_whole
from lessons.device import device_name, pick_device
from lessons.distributed import first_on_main, process_group, rank, world_size
from lessons.errors import BadInput, exits_cleanly
from lessons.gpt import GPT, GPTConfig, parameter_count
from lessons.memory import check_memory
from lessons.optimization import TrainingConfig
from lessons.precision import DTYPES, pick_dtype
from lessons.presets import PRESETS, find_preset
from lessons.scaling import micro_batch_size, train_at_scale
from lessons.tokens import open_tokens, write_tokens

DEFAULT_SEED = 1337
# The settings of a TrainingConfig that have a flag of their own.
SETTINGS = {"max_iters": int, "batch_size": int, "grad_accum_steps": int, "eval_interval": int,
            "learning_rate": float, "dropout": float}  # fmt: skip


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--preset", help=f"shape and settings: {', '.join(PRESETS)}")
    parser.add_argument("--text", type=Path, help="your own text (default: Tiny Shakespeare)")
    parser.add_argument("--out", type=Path, help="folder of the run (default: runs/PRESET)")
    parser.add_argument("--resume", action="store_true", help="go on with the run in --out")
    parser.add_argument("--compile", action="store_true", help="torch.compile the model first")
    parser.add_argument("--dtype", default="auto", help=f"auto, {', '.join(DTYPES)}")
    parser.add_argument("--device", help="cpu, cuda or mps (default: CUDA where there is one)")
    parser.add_argument("--seed", type=int, help=f"the run's (default: {DEFAULT_SEED})")
    for name, kind in SETTINGS.items():
        flag = "--" + name.replace("_", "-")
        parser.add_argument(flag, type=kind, metavar="N", help="instead of the preset's")
    return parser.parse_args()


def find_folder(args: argparse.Namespace) -> Path:
    """The run's folder; raises BadInput for flags that contradict each other or the folder."""
    if args.preset is None and not args.resume:
        raise BadInput(f"Name what to train with --preset: {', '.join(PRESETS)}.")
    if args.out is None and args.preset is None:
        raise BadInput("Name the folder of the run that --resume is to go on with: --out.")
    folder = args.out or Path("runs") / args.preset
    if args.resume and not (folder / "losses.json").exists():
        raise BadInput(f"{folder} holds no run to resume: leave out --resume to begin one.")
    if not args.resume and (folder / "losses.json").exists():
        about = json.loads((folder / "losses.json").read_text())
        raise BadInput(
            f"{folder} holds a run already (preset {about['preset']}, seed {about['seeds'][0]}): "
            "go on with it with --resume, or name another folder with --out."
        )
    return folder


def describe(args: argparse.Namespace, folder: Path) -> dict:
    """What losses.json tells about the run: of a new one, or of the one in `folder`.

    Writes the tokens too, where they are not there yet.
    """
    settings = {name: getattr(args, name) for name in SETTINGS}
    changed = {name: value for name, value in settings.items() if value is not None}
    if args.resume:
        about = json.loads((folder / "losses.json").read_text())
        for flag, now, then in (
            ("--preset", args.preset, about["preset"]),
            ("--seed", args.seed, about["seeds"][0]),
        ):
            if now not in (None, then):
                raise BadInput(
                    f"{flag} {now} contradicts the run in {folder}, which has {then}: leave it "
                    "out, or begin another run with another --out."
                )
        training = replace(TrainingConfig(**about["hyperparameters"]), **changed)
        if args.text is not None:
            tokens = write_tokens(args.text, folder, about["vocabulary"])
            about["text_sha256"] = tokens["text_sha256"]
        return about | {"hyperparameters": asdict(training)}
    preset = find_preset(args.preset)
    training = replace(preset.training, **changed)
    tokens = write_tokens(args.text, folder)
    shape = replace(preset.shape, vocab_size=len(tokens["vocabulary"]))
    return {
        "preset": args.preset,
        "shape": asdict(shape),
        "hyperparameters": asdict(training),
        "seeds": [DEFAULT_SEED if args.seed is None else args.seed],
        "text_sha256": tokens["text_sha256"],
        "vocabulary": tokens["vocabulary"],
    }


def prepare(
    args: argparse.Namespace, device: torch.device, claims: ExitStack
) -> tuple[Path, dict, Path | None]:
    """Check everything, and claim the folder: (folder, what losses.json tells, checkpoint)."""
    folder = find_folder(args)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        claims.enter_context(FileLock(folder / ".lock", timeout=0))
    except Timeout:
        raise BadInput(f"Another process is training in {folder}: name another --out.") from None
    except OSError as error:
        raise BadInput(
            f"{folder} cannot be written ({error.strerror}): name another --out."
        ) from None
    for leftover in folder.glob(".*.tmp"):  # of a process that was killed while it wrote
        leftover.unlink()
    about = describe(args, folder)
    shape, training = GPTConfig(**about["shape"]), TrainingConfig(**about["hyperparameters"])
    micro_batch_size(training)
    check_memory(about["preset"], shape, training, world_size(), device)
    checkpoint = find_checkpoint(folder) if args.resume else None
    if checkpoint and (step := read_checkpoint(checkpoint)["step"]) > training.max_iters:
        raise BadInput(f"The run is at step {step} already: --max-iters must be above that.")
    return folder, about, checkpoint


def train(args: argparse.Namespace, device: torch.device, claims: ExitStack) -> None:
    """Train, and say at the end how it went; the folder stays claimed until `claims` ends."""
    folder, about, path = first_on_main(lambda: prepare(args, device, claims))
    shape, training = GPTConfig(**about["shape"]), TrainingConfig(**about["hyperparameters"])
    dtype, seed = pick_dtype(device, shape.n_embd, args.dtype), about["seeds"][0]
    torch.manual_seed(seed)
    model = GPT(shape, training.dropout).to(device)
    about |= {
        "parameters": parameter_count(model),
        "torch": str(torch.__version__),
        "device": device_name(device),
        "dtype": str(dtype).removeprefix("torch."),
        "processes": world_size(),
        "threads_per_process": torch.get_num_threads(),
    }
    described = folder / "losses.json"
    if rank() == 0:
        write_whole(described, (json.dumps(about, indent=2) + "\n").encode())
        print(
            f"{folder}: {about['parameters']:,} parameters, {about['dtype']} on {about['device']}"
        )
    losses = train_at_scale(
        model,
        *open_tokens(folder),
        training,
        seed=seed,
        dtype=dtype,
        compile=args.compile,
        folder=folder,
        about=about,
        resume_from=read_checkpoint(path) if path else None,
    )
    if rank() == 0:
        best, last = losses.loc[losses.val_loss.idxmin()], losses.iloc[-1]
        about["totals"] = {"seconds": round(last.seconds, 1)}
        write_whole(described, (json.dumps(about, indent=2) + "\n").encode())
        print(
            f"Validation loss {last.val_loss:.4f} at step {last.step:.0f}, lowest "
            f"{best.val_loss:.4f} at step {best.step:.0f}. Read what it writes: "
            f"python helper_scripts/sample.py --run {folder}"
        )


@exits_cleanly
def main() -> None:
    args = parse_arguments()
    with process_group(pick_device(args.device)) as device, ExitStack() as claims:
        try:
            train(args, device, claims)
        except (torch.cuda.OutOfMemoryError, MemoryError) as error:
            raise BadInput(
                f"The memory of {device} is full ({str(error).splitlines()[0]}): raise "
                "--grad-accum-steps, or choose a smaller preset."
            ) from None


if __name__ == "__main__":
    main()
