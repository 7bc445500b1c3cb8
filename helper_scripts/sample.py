"""Print what a trained run writes, character by character."""

from contextlib import suppress
from pathlib import Path

from lessons.arguments import COUNT, RATE, SEED, Parser
from lessons.at_scale.checkpoints import described, find_checkpoint
from lessons.at_scale.description import read_description
from lessons.console import nobody_reads
from lessons.device import pick_device
from lessons.errors import BadInput, exits_cleanly
from lessons.gpt import GPT
from lessons.sampling import generate
from lessons.tokenizer import CharTokenizer

import torch


def load_run(folder: Path) -> tuple[GPT, CharTokenizer]:
    """The model of the lowest validation loss in a run's folder, and its tokenizer."""
    try:
        run = read_description(folder)
    except BadInput:  # its checkpoints know it too
        run = None
    checkpoint = find_checkpoint(folder, run, names=("best.pt", "last.pt", "previous.pt"))
    if checkpoint is None:
        raise BadInput(f"{folder} holds no checkpoint: train one with helper_scripts/train.py.")
    run = described(checkpoint)
    model = GPT(run.shape)
    model.load_state_dict(checkpoint.contents["model"])
    return model, CharTokenizer(run.vocabulary)


@exits_cleanly
def main() -> None:
    parser = Parser(description=__doc__)
    parser.add_argument("--run", type=Path, required=True, help="folder of the run")
    parser.add_argument("--prompt", help="text to continue (default: a new line)")
    parser.add_argument("--characters", type=COUNT, default=500, help="how many (default: 500)")
    parser.add_argument(
        "--temperature", type=RATE, default=1.0, help="low is safe, high is wild (default: 1)"
    )
    parser.add_argument("--top-k", type=COUNT, help="only from the k likeliest characters")
    parser.add_argument("--seed", type=SEED, default=1337, help="another seed writes another text")
    parser.add_argument("--device", help="cpu, cuda or mps (default: CUDA where there is one)")
    args = parser.parse_args()
    device = pick_device(args.device)
    model, tokenizer = load_run(args.run)
    model.to(device)
    if args.prompt is None:
        args.prompt = "\n" if "\n" in tokenizer.stoi else tokenizer.itos[0]
    # In an ASCII terminal Python hands on the bytes of any other character, as half characters.
    with suppress(UnicodeError):
        args.prompt = args.prompt.encode("ascii", "surrogateescape").decode()
    unknown = set(args.prompt) - tokenizer.stoi.keys()
    if unknown:
        raise BadInput(f"The run's text has no {min(unknown)!r}: leave it out of --prompt.")
    idx = torch.tensor([tokenizer.encode(args.prompt)], dtype=torch.long, device=device)  # (1, T)
    generator = torch.Generator(device).manual_seed(args.seed)
    generate(model, idx, 0, args.temperature, args.top_k)  # refuses bad settings before printing
    print(args.prompt, end="", flush=True)
    for _ in range(args.characters):
        idx = generate(model, idx[:, -model.block_size :], 1, args.temperature, args.top_k,
                       generator)  # fmt: skip
        print(tokenizer.decode(idx[0, -1:].tolist()), end="")
        if nobody_reads():  # such as `head`, which has had enough
            return
    print()


if __name__ == "__main__":
    main()
