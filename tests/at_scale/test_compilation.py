"""A model is compiled, or trains as it is: by one process, or by many together."""

import re

from lessons.at_scale.checkpoints import read_checkpoint
from lessons.at_scale.compilation import compiled
from lessons.at_scale.loop import train_at_scale
from lessons.at_scale.state import TrainingState
from lessons.at_scale.step import train_step
from lessons.batches import split
from lessons.presets import TrainingConfig
from tiny_runs import FEW, gloo, new_model, torchrun

import pytest
import torch


def test_what_compiles_is_tried_on_a_whole_step_and_leaves_no_trace(monkeypatch):
    model, idx = new_model(dropout=0.5), torch.zeros(1, 8, dtype=torch.long)

    class Fails(torch.autograd.Function):
        @staticmethod
        def forward(ctx, loss):
            return loss.clone()

        @staticmethod
        def backward(ctx, gradient):
            raise RuntimeError("backward cannot be compiled")

    monkeypatch.setattr(
        torch, "compile", lambda model: lambda x, y: (None, Fails.apply(model(x, y)[1]))
    )
    before = torch.get_rng_state()
    assert compiled(model, idx, torch.float32) is model
    monkeypatch.setattr(torch, "compile", lambda model: model.forward)
    assert compiled(model, idx, torch.float32) == model.forward
    assert torch.equal(torch.get_rng_state(), before)
    assert all(p.grad is None for p in model.parameters())


def test_what_the_trial_compiles_is_what_trains(monkeypatch):
    model, graphs, compile = new_model(), [], torch.compile

    def backend(graph, inputs):
        graphs.append(graph)
        return graph.forward

    monkeypatch.setattr(torch, "compile", lambda model: compile(model, backend=backend))
    config = TrainingConfig(batch_size=4, max_iters=10)
    state = TrainingState(model, config, torch.float32, seed=0)
    fast = compiled(model, torch.zeros(4, 8, dtype=torch.long), torch.float32)
    assert len(graphs) == 1
    for _ in range(2):
        train_step(fast, state, torch.randint(11, (100,)))
    assert len(graphs) == 1


def test_a_compiled_run_is_tried_on_a_micro_batch_and_has_the_losses_of_any_other(
    data, monkeypatch
):
    shapes = []

    def compile(model):
        return lambda x, y: shapes.append(tuple(x.shape)) or model(x, y)

    config = TrainingConfig(**FEW.__dict__ | {"grad_accum_steps": 2})
    plain = train_at_scale(new_model(), *split(data), config)
    monkeypatch.setattr(torch, "compile", compile)
    losses = train_at_scale(new_model(), *split(data), config, compile=True)
    assert losses.val_loss.tolist() == plain.val_loss.tolist()
    assert set(shapes) == {(2, 8)} and len(shapes) == 1 + 2 * 20


@pytest.mark.parametrize("when", ["asked", "used"])
def test_without_a_compiler_the_model_itself_trains(monkeypatch, capsys, when):
    model = new_model()

    def no_compiler(*args):
        raise RuntimeError("no C++ compiler\nand much more")

    asked = no_compiler if when == "asked" else lambda model: no_compiler
    monkeypatch.setattr(torch, "compile", asked)
    assert compiled(model, torch.zeros(1, 8, dtype=torch.long), torch.float32) is model
    said = capsys.readouterr().err
    assert said.startswith("Not compiled") and "no C++ compiler" in said and said.count("\n") == 1


# train.py with a compiler that only counts, and that fails in some process when asked or used.
COUNTED = """
import os, torch, train
compile, graphs = torch.compile, []

def fail(when):
    if (os.environ["RANK"], when) == FAILING:
        raise RuntimeError("no compiler in this one")

def backend(graph, inputs):
    fail("used")
    graphs.append(graph)
    return graph.forward

def asked(model):
    fail("asked")
    return compile(model, backend=backend)

torch.compile = asked
train.main()
print(f"{len(graphs)} compiled")  # in one piece: two processes write to one pipe
"""


@pytest.mark.slow
@gloo
@pytest.mark.parametrize(
    ("failing", "n_compiled"),
    [((), [1, 1]), (("1", "used"), [0, 1]), (("1", "asked"), [0, 0])],
)
def test_processes_compile_together_or_not_at_all(run, tmp_path, text_file, failing, n_compiled):
    words = ["--max-iters", "20", "--eval-interval", "10"]
    script = tmp_path / "counted.py"
    script.write_text(COUNTED.replace("FAILING", str(failing)))
    with torchrun(tmp_path / "two", text_file, *words, "--compile", script=str(script)) as process:
        printed, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert sorted(int(n) for n in re.findall(r"(\d) compiled", printed)) == n_compiled
    assert errors.count("Not compiled") == (1 if failing else 0)
    run("--preset", "small", "--text", text_file, *words)
    one, two = (read_checkpoint(f / "last.pt")["rows"] for f in (run.folder, tmp_path / "two"))
    for row, other in zip(one, two, strict=True):
        assert row[:3] == pytest.approx(other[:3], abs=1e-5)
