"""A run whose files are not as they were written is read right or refused in one sentence."""

import copy
import functools
import json
import math
import zipfile
from dataclasses import replace

import sample
import train
from damage import damaged_bytes, damaged_values
from lessons.at_scale import state as state_module
from lessons.at_scale.checkpoints import read_checkpoint
from lessons.at_scale.contents import check_contents
from lessons.at_scale.description import Computation, RunDescription
from lessons.at_scale.distributed import process_group, started_by_torchrun
from lessons.at_scale.state import TrainingState
from lessons.errors import BadInput
from lessons.gpt import GPT
from lessons.presets import PRESETS
from lessons.schema import checked

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

CPU = torch.device("cpu")
RUN = RunDescription(
    "small", replace(PRESETS["small"].shape, vocab_size=3), PRESETS["small"].training, 7, "0a" * 32,
    "\nab", Computation(204_000, "2.13.0", "a CPU", "float32", 1, 1),
)  # fmt: skip
ABOUT = RUN.to_json() | {"totals": {"seconds": 3.5}}
# The same damage at each run, so that CI fails for what was changed alone; without `derandomize`
# it searches further.
often = settings(
    max_examples=150, derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)  # fmt: skip


def new_state() -> TrainingState:
    torch.manual_seed(0)
    return TrainingState(GPT(RUN.shape), RUN.training, torch.float32, RUN.seed)


def a_checkpoint() -> dict:
    """What a run of two steps keeps, without having been trained on anything."""
    state = new_state()
    for _ in range(2):
        for weight in state.model.parameters():
            weight.grad = torch.ones_like(weight)
        state.optimizer.step()
    state.step, state.rows = 2, [(0, 4.2, 4.2, 0.1), (2, 4.1, 4.1, 0.2)]
    return state.state_dict() | {"about": ABOUT}


CHECKPOINT = a_checkpoint()


def one_sentence(problem: BadInput) -> bool:
    return "\n" not in str(problem) and bool(str(problem))


@often
@given(damaged_values(ABOUT))
def test_a_damaged_description_says_the_same_or_is_refused(values):
    try:
        run = RunDescription.from_json(values)
    except BadInput as problem:
        assert one_sentence(problem)
        return
    assert RunDescription.from_json(run.to_json()) == run
    # Of the shape, only what the vocabulary says may have changed, so no damage costs memory.
    assert replace(run.shape, vocab_size=3) == RUN.shape
    assert GPT(run.shape, run.training.dropout) and 0 <= run.seed < 2**63


@often
@given(damaged_bytes(json.dumps(ABOUT).encode()))
def test_the_bytes_of_a_description_are_no_less_safe(tmp_path, content):
    (tmp_path / "losses.json").write_bytes(content)
    try:
        run = train.read_run(tmp_path)
    except BadInput as problem:
        assert one_sentence(problem) and str(tmp_path) in str(problem)
    else:
        assert RunDescription.from_json(run.to_json()) == run


TENSORS = st.sampled_from([
    None, True, -1, 2, 10**30, 0.5, math.nan, math.inf, "x", [], {}, (), [1, 2], {"a": 1},
    torch.zeros(()), torch.zeros(3), torch.zeros(192, 64), torch.zeros(64), torch.zeros(3, 64),
    torch.full((64,), math.nan), torch.full((64,), -1.0), torch.zeros(64).double(),
    torch.zeros(64, 64).to_sparse(), torch.zeros(64, dtype=torch.complex64),
    torch.zeros(64, dtype=torch.long), torch.zeros(64, device="meta"), torch.tensor(math.nan),
    torch.zeros(5056, dtype=torch.uint8), torch.zeros(3, dtype=torch.uint8), torch.zeros(5056),
])  # fmt: skip


@pytest.mark.slow
@settings(often, max_examples=100)
@given(damaged_values(CHECKPOINT, TENSORS))
def test_from_a_damaged_checkpoint_a_run_can_go_on_or_it_is_refused(checkpoint):
    try:
        check_contents(checkpoint)
    except BadInput as problem:
        assert one_sentence(problem)
        return
    if checkpoint["about"] is None:  # then nothing says which model it is of
        return
    state = new_state()
    state.load_state_dict(copy.deepcopy(checkpoint))  # a step changes what was loaded
    for weight in state.model.parameters():
        weight.grad = torch.ones_like(weight)
    state.optimizer.step()
    assert all(weight.isfinite().all() for weight in state.model.parameters())
    assert state.seconds > 0 and len(state.losses()) == len(state.rows) > 0


def put_into(checkpoint: dict, keys: tuple, value: object) -> dict:
    inner = put_into(checkpoint[keys[0]], keys[1:], value) if keys[1:] else value
    return checkpoint | {keys[0]: inner}


WEIGHT = CHECKPOINT["model"]["lm_head.weight"]
MEANS = CHECKPOINT["optimizer"]["state"][0]
CUDA = torch.zeros(16, dtype=torch.uint8)  # a state as torch.cuda.get_rng_state returns it
SCALER = torch.amp.GradScaler("cpu").state_dict()
ENDLESS = functools.reduce(lambda inner, _: [inner, inner], range(60), 0)  # 2**60 zeros, by name


def on_cuda(state: object) -> dict:
    return {"cpu": CHECKPOINT["batch_rng"], "cuda": state}


def groups_with(**settings) -> list[dict]:
    return [group | settings for group in CHECKPOINT["optimizer"]["param_groups"]]


@pytest.mark.parametrize(
    ("keys", "value", "reason"),
    [
        (("model", "lm_head.weight"), torch.zeros(3, 3), "not those of the model"),
        (("model", "lm_head.weight"), WEIGHT.double(), "not those of the model"),
        (("model", "lm_head.weight"), WEIGHT.half(), "not those of the model"),
        (("model", "lm_head.weight"), WEIGHT * math.nan, "not all numbers"),
        (("model", "lm_head.weight"), WEIGHT / 0, "not all numbers"),
        (("model", "more"), WEIGHT, "not those of the model"),
        (("model",), {"lm_head.weight": WEIGHT}, "not those of the model"),
        (("about", "vocabulary"), "\nabc", "has 4 characters, and the shape has a vocab_size of 3"),
        (("about", "vocabulary"), "ab\n", "'vocabulary' is not in order"),
        (("about", "shape"), ABOUT["shape"] | {"n_layer": 10**9}, "'shape' is not that of preset"),
        (("about", "shape"), ABOUT["shape"] | {"n_head": 2}, "'shape' is not that of preset"),
        (("about", "seeds"), [1, 2], "'seeds' is not a list of one"),
        (("about", "preset"), "tiny", "no preset 'tiny'"),
        (("optimizer", "state"), {}, "its optimizer is not that of the run"),
        (("optimizer", "state", 0), MEANS | {"exp_avg": torch.zeros(2)}, "its optimizer is not"),
        (("optimizer", "state", 0), MEANS | {"exp_avg_sq": -MEANS["exp_avg"]}, "its optimizer is"),
        (("optimizer", "state", 0), MEANS | {"step": torch.tensor(9.0)}, "its optimizer is not"),
        (("optimizer", "param_groups"), [], "its optimizer is not that of the run"),
        (("step",), 2.0, "its step is not a number"),
        (("step",), 1, "its losses are not in order"),
        (("rows",), [], "its losses are not rows of four numbers"),
        (("rows",), [(0, math.nan, 4.0, 0.1)], "its losses are not rows of four numbers"),
        (("seconds",), math.nan, "its seconds are not a number"),
        (("batch_rng",), torch.zeros(3, dtype=torch.uint8), "its random states are wrong"),
        (("seconds",), 10**400, "its seconds are not a number"),
        (("rows",), [(0, 10**400, 4.0, 0.1)], "its losses are not rows of four numbers"),
        (("about", "vocabulary"), "\nb\ud800", "'vocabulary' holds half a character"),
        (("optimizer", "param_groups"), groups_with(params=ENDLESS), "its optimizer is not that"),
        (("optimizer", "param_groups"), groups_with(betas=WEIGHT), "its optimizer is not that"),
        (("optimizer", "param_groups"), groups_with(lr=10**400), "its optimizer is not that"),
        (("optimizer", "param_groups"), groups_with(amsgrad=True), "its optimizer is not that"),
        (("optimizer", "param_groups"), groups_with(fused=WEIGHT), "its optimizer is not that"),
        (("rng",), [], "its random states are wrong"),
        (("rng",), [on_cuda(WEIGHT)], "random states are wrong"),
        (("rng",), [on_cuda(torch.zeros(16))], "random states are wrong"),
        (("rng",), [on_cuda(bytes(16))], "random states are wrong"),
        (("rng",), [on_cuda(CUDA), on_cuda(CUDA[:8])], "random states are wrong"),
        (("scaler",), {"scale": 1.0}, "its scaler is wrong"),
        (("scaler",), SCALER | {"scale": "x"}, "its scaler is wrong"),
        (("rng",), 3, "its random states are wrong"),
        (("rng",), [3], "its random states are wrong"),
        (("rng",), [{}], "its random states are wrong"),
        (("optimizer",), [], "its optimizer is not that"),
        (("optimizer",), {"state": {}}, "its optimizer is not that"),
        (("optimizer", "state"), [], "its optimizer is not that"),
        (("optimizer", "state", 0), [], "its optimizer is not that"),
        (("optimizer", "state", 0), {"step": MEANS["step"]}, "its optimizer is not that"),
        (("optimizer", "param_groups"), groups_with(betas=(0.9, 0.5)), "its optimizer is not"),
        (("optimizer", "param_groups"), groups_with(betas=(0.9,)), "its optimizer is not that"),
        (("about", "totals"), {"seconds": "long"}, "seconds"),
    ],
)
def test_each_part_of_a_checkpoint_that_is_not_the_runs_has_its_reason(
    tmp_path, keys, value, reason
):
    path = tmp_path / "last.pt"
    torch.save(CHECKPOINT, path)
    assert read_checkpoint(path)["step"] == 2
    torch.save(put_into(CHECKPOINT, keys, value), path)
    with pytest.raises(BadInput) as refusal:
        read_checkpoint(path)
    assert reason in str(refusal.value) and one_sentence(refusal.value)
    assert str(refusal.value).startswith(f"{path} is not a checkpoint of this course (")


@pytest.mark.parametrize("content", [[], {}, None, {"step": 2}])
def test_a_file_that_holds_something_else_lacks_parts(content):
    with pytest.raises(BadInput, match="it lacks parts"):
        check_contents(content)


def test_a_weight_that_never_had_a_gradient_is_no_damage():
    """As the row of a character that the training split does not have."""
    never = MEANS | {name: torch.zeros_like(MEANS[name]) for name in ("exp_avg", "exp_avg_sq")}
    check_contents(put_into(CHECKPOINT, ("optimizer", "state", 0), never))


def test_the_optimizer_of_a_torch_that_knows_fewer_settings_goes_on_with_those_of_this_one():
    named = ("params", "lr", "betas", "eps", "weight_decay")
    groups = [{name: group[name] for name in named} | {"fused": False} for group in groups_with()]
    older = put_into(CHECKPOINT, ("optimizer", "param_groups"), groups)
    check_contents(older)
    state = new_state()
    own = state.optimizer.state_dict()["param_groups"]
    state.load_state_dict(copy.deepcopy(older))
    assert state.optimizer.state_dict()["param_groups"] == own


def test_a_process_that_the_run_did_not_have_before_keeps_the_state_that_it_began_with(monkeypatch):
    state = new_state()
    for rank, new in ((0, False), (1, True)):
        monkeypatch.setattr(state_module, "rank", lambda rank=rank: rank)
        begun = torch.manual_seed(5).get_state()
        state.load_state_dict(copy.deepcopy(CHECKPOINT))
        assert torch.equal(torch.get_rng_state(), begun) == new


def test_a_description_keeps_what_is_known_of_the_machine_and_needs_none():
    assert RunDescription.from_json(ABOUT) == RUN
    untrained = replace(RUN, computation=None)
    assert RunDescription.from_json(untrained.to_json()) == untrained


def test_the_random_state_of_a_gpu_is_taken():
    check_contents(CHECKPOINT | {"rng": [on_cuda(CUDA)] * 2})


def test_before_the_first_step_and_where_a_scaler_skipped_all_the_optimizer_has_no_means():
    empty = put_into(CHECKPOINT, ("optimizer", "state"), {})
    check_contents(empty | {"step": 0, "rows": CHECKPOINT["rows"][:1]})
    check_contents(empty | {"scaler": SCALER})
    with pytest.raises(BadInput, match="its optimizer is not that of the run"):
        check_contents(put_into(CHECKPOINT, ("optimizer", "state"), {0: MEANS}) | {"step": 2})


def test_a_checkpoint_that_would_unpack_to_more_than_the_file_is_refused(tmp_path):
    path = tmp_path / "last.pt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("last/data.pkl", bytes(10**6))
    with pytest.raises(BadInput, match="is cut off, or is no checkpoint"):
        read_checkpoint(path)


def test_a_checkpoint_with_the_weights_of_another_model_is_passed_over_by_both_scripts(run):
    run.begin()
    last = run.folder / "last.pt"
    other = torch.load(last, weights_only=True)
    other["model"]["lm_head.weight"] = torch.zeros(2, 2)
    last.unlink()
    (run.folder / "best.pt").unlink()
    for name in ("last.pt", "best.pt"):
        torch.save(other, run.folder / name)
    assert len(run("--characters", "20", script=sample)) == 22  # with the new lines at both ends
    run("--resume", "--max-iters", "30")
    assert read_checkpoint(last)["step"] == 30


@pytest.mark.parametrize(
    "content", ["NaN", '{"seeds": NaN}', "[" * 10**5, "\ufeff", '{"a": 1, "a": 2}', "\0", '"x"']
)
def test_a_losses_json_that_python_would_read_but_json_does_not_know_is_refused(
    run, refused, content
):
    run.folder.mkdir()
    (run.folder / "losses.json").write_text(content)
    said = refused("--resume")
    assert "losses.json does not hold a JSON object: restore it, or use another folder." in said


def test_a_schema_names_what_does_not_fit():
    good = ABOUT["hyperparameters"]
    for name, value, reason in [
        ("batch_size", "16", "'batch_size' is a str"),
        ("batch_size", 16.0, "'batch_size' is a float"),
        ("batch_size", True, "'batch_size' is a bool"),
        ("batch_size", None, "'batch_size' is a NoneType"),
        ("batch_size", -1, "'batch_size' is not a number from 0"),
        ("batch_size", 2**63, "'batch_size' is not a number from 0"),
        ("learning_rate", math.nan, "'learning_rate' is nan"),
        ("learning_rate", 10**400, "'learning_rate' is not a number from 0"),
        ("more", 1, "'more' is unknown"),
    ]:
        with pytest.raises(BadInput, match=reason):
            checked(type(RUN.training), good | {name: value})
    assert checked(type(RUN.training), good | {"learning_rate": 1}).learning_rate == 1


@pytest.mark.parametrize(
    "variables",
    [
        {"LOCAL_RANK": "0"},
        {"LOCAL_RANK": "", "RANK": "0", "WORLD_SIZE": "1", "MASTER_PORT": "29500"},
        {"LOCAL_RANK": "x", "RANK": "0", "WORLD_SIZE": "1", "MASTER_PORT": "29500"},
        {"LOCAL_RANK": "0", "RANK": "2", "WORLD_SIZE": "2", "MASTER_PORT": "29500"},
        {"LOCAL_RANK": "0", "RANK": "-1", "WORLD_SIZE": "2", "MASTER_PORT": "29500"},
        {"LOCAL_RANK": "0", "RANK": "0", "WORLD_SIZE": "0", "MASTER_PORT": "29500"},
        {"LOCAL_RANK": "0", "RANK": "0", "WORLD_SIZE": "1", "MASTER_PORT": "99999"},
        {"LOCAL_RANK": "0", "RANK": "0", "WORLD_SIZE": "1", "MASTER_PORT": "29500", "run": ""},
    ],
)
def test_the_variables_of_torchrun_without_torchrun_are_refused(monkeypatch, refused, variables):
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    if "run" in variables:  # all is right, but nobody else would ever come
        monkeypatch.delenv("TORCHELASTIC_RUN_ID")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert "unset LOCAL_RANK to train in one process, or start it with torchrun" in refused(
        "--preset", "small"
    )


def test_a_rank_that_a_container_sets_changes_nothing(monkeypatch):
    monkeypatch.setenv("RANK", "3")
    monkeypatch.setenv("WORLD_SIZE", "8")
    assert not started_by_torchrun()
    with process_group(CPU) as device:
        assert device == CPU


@pytest.mark.parametrize("temperature", ["1e-40", "1e-46", "5e-324", "9e-7"])
def test_a_temperature_so_low_that_logits_become_infinite_is_refused(run, refused, temperature):
    run.begin()
    said = refused("--temperature", temperature, script=sample)
    assert "temperature not below 1e-6" in said and "top_k=1" in said


def test_the_lowest_temperature_takes_the_likeliest(run):
    run.begin()
    words = ["--prompt", "the ", "--characters", "20"]
    lowest = run(*words, "--temperature", "1e-6", script=sample)
    assert lowest == run(*words, "--top-k", "1", script=sample)
