"""The GPT, its shapes, and what trains it."""

import math

from lessons.at_scale.compilation import compiled
from lessons.at_scale.precision import autocast, pick_dtype
from lessons.at_scale.state import TrainingState
from lessons.at_scale.step import train_step
from lessons.errors import BadInput
from lessons.fused_attention import causal_attention
from lessons.gpt import (
    GPT,
    FusedSelfAttention,
    GPTBlock,
    GPTConfig,
    flops_per_token,
    parameter_count,
)
from lessons.multi_head import CausalSelfAttention
from lessons.normalization import PreNormBlock
from lessons.optimization import learning_rate_at, make_optimizer
from lessons.presets import PRESETS, TrainingConfig, find_preset

import pytest
import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

CPU = torch.device("cpu")
TINY = GPTConfig(vocab_size=11, block_size=8, n_layer=2, n_head=2, n_embd=16)
# Hugging Face's gpt2, gpt2-medium, gpt2-large and gpt2-xl have as many.
GPT2_PARAMETERS = {
    "gpt2-124m": 124_439_808,
    "gpt2-355m": 354_823_168,
    "gpt2-774m": 774_030_080,
    "gpt2-1558m": 1_557_611_200,
}


@pytest.fixture
def model():
    torch.manual_seed(0)
    return GPT(TINY)


def parameters_of(preset: str) -> int:
    with torch.device("meta"):
        return parameter_count(GPT(PRESETS[preset].shape))


@pytest.mark.parametrize("n_processes", [1, 2, 4, 8])
@pytest.mark.parametrize("preset", PRESETS)
def test_a_presets_batch_can_be_shared_by_the_usual_numbers_of_processes(preset, n_processes):
    if preset == "cpu" and n_processes == 8:
        pytest.skip("12 sequences are for a laptop")
    assert PRESETS[preset].training.batch_size % n_processes == 0


@pytest.mark.parametrize("preset", GPT2_PARAMETERS)
def test_the_gpt2_shapes_have_as_many_parameters_as_gpt2(preset):
    assert parameters_of(preset) == GPT2_PARAMETERS[preset]


def test_the_small_preset_has_the_parameters_of_the_lecture():
    assert parameters_of("small") == 209_729


def test_an_unknown_preset_is_answered_with_the_known_ones():
    with pytest.raises(BadInput, match="no preset 'medium'.*small, cpu, gpu, gpt2-124m"):
        find_preset("medium")


@pytest.mark.parametrize("wrong", [{"n_layer": 0}, {"vocab_size": -1}, {"n_head": 3}])
def test_a_shape_that_cannot_be_is_refused(wrong):
    shape = {"vocab_size": 11, "block_size": 8, "n_layer": 2, "n_head": 2, "n_embd": 16}
    with pytest.raises(BadInput):
        GPTConfig(**shape | wrong)


def test_a_shape_is_frozen():
    with pytest.raises(AttributeError):
        TINY.n_layer = 3


def copy_of(block: PreNormBlock) -> GPTBlock:
    """The GPT's block with the weights of lesson 7's."""
    copy = GPTBlock(TINY, dropout=0.0)
    attn = block.attn
    with torch.no_grad():
        copy.attn.qkv.weight.copy_(
            torch.cat([attn.query.weight, attn.key.weight, attn.value.weight])
        )
    copy.attn.proj = block.proj
    copy.ln_1, copy.ln_2, copy.mlp = block.ln_1, block.ln_2, block.mlp
    return copy


def test_the_block_equals_lesson_7s_pre_norm_block():
    torch.manual_seed(0)
    block = PreNormBlock(16, 2)
    x = torch.randn(3, 8, 16)
    torch.testing.assert_close(copy_of(block)(x), block(x))


def test_the_fused_attention_has_the_parameters_of_lesson_4s_and_the_projection():
    fused, plain = FusedSelfAttention(TINY, 0.0), CausalSelfAttention(16, 2)
    assert parameter_count(fused) == parameter_count(plain) + 16 * 16 + 16


def test_the_future_does_not_change_the_past_of_a_gpt(model):
    idx = torch.randint(11, (1, 8))
    changed = idx.clone()
    changed[0, 5] = (idx[0, 5] + 1) % 11
    before, after = (model.eval()(ids)[0] for ids in (idx, changed))
    torch.testing.assert_close(after[:, :5], before[:, :5])
    assert not torch.allclose(after[:, 5:], before[:, 5:])


def test_a_gpts_first_loss_is_near_log_vocab(model):
    idx = torch.randint(11, (64, 8))
    _, loss = model(idx, torch.randint(11, (64, 8)))
    assert abs(loss.item() - math.log(11)) < 0.5


def test_the_streams_variance_does_not_grow_with_depth():
    def variance(n_layer: int) -> float:
        torch.manual_seed(0)
        deep = GPT(GPTConfig(11, 8, n_layer, 2, 64))
        return deep.body(torch.randn(16, 8, 64)).var().item()

    assert variance(24) < 1.5 * variance(2)


def test_dropout_works_in_training_alone():
    torch.manual_seed(0)
    model, idx = GPT(TINY, dropout=0.5), torch.randint(11, (2, 8))
    assert not torch.equal(model(idx)[0], model(idx)[0])
    model.eval()
    assert torch.equal(model(idx)[0], model(idx)[0])


def test_a_tied_head_is_the_token_embedding():
    model = GPT(GPTConfig(11, 8, 2, 2, 16, tied=True))
    assert model.lm_head.weight is model.token_embedding.weight
    assert model.lm_head.bias is None


def test_flops_are_those_that_pytorch_counts(model):
    idx = torch.randint(11, (4, 8))
    # As separate products, since PyTorch does not count those inside its fused CPU kernel.
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        _, loss = model(idx, idx)
        loss.backward()
    # PyTorch counts matrix products alone, we the biases and gains too.
    vectors = sum(p.numel() for p in model.parameters() if p.dim() < 2)
    assert flops_per_token(model) - 6 * vectors == counter.get_total_flops() / idx.numel()


def test_the_learning_rate_climbs_to_its_peak_and_ends_at_a_tenth():
    config = TrainingConfig(batch_size=4, max_iters=1000, learning_rate=0.5, warmup_iters=100)
    rates = [learning_rate_at(step, config) for step in range(1001)]
    assert rates[0] == pytest.approx(0.005)
    assert max(rates) == rates[99] == rates[100] == 0.5
    assert rates[-1] == pytest.approx(0.05)
    assert rates[100:] == sorted(rates[100:], reverse=True)
    # Half way between the peak and the end stands half of both.
    assert rates[550] == pytest.approx(0.275)


def test_a_run_as_short_as_its_warm_up_has_a_learning_rate_at_its_end():
    config = TrainingConfig(batch_size=4, max_iters=100, warmup_iters=100)
    assert learning_rate_at(100, config) == config.learning_rate


@pytest.mark.parametrize(
    "wrong", [{"batch_size": 0}, {"max_iters": -5}, {"dropout": 1.0}, {"learning_rate": math.nan}]
)
def test_settings_that_cannot_be_are_refused(wrong):
    with pytest.raises(BadInput, match=next(iter(wrong))):
        TrainingConfig(**{"batch_size": 4, "max_iters": 10} | wrong)


def test_only_matrices_decay(model):
    optimizer = make_optimizer(model, TrainingConfig(batch_size=4, max_iters=10))
    # Without gradients of its own a weight moves by its decay alone.
    for p in model.parameters():
        p.grad = torch.zeros_like(p)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    optimizer.param_groups[0]["lr"] = optimizer.param_groups[1]["lr"] = 0.5
    optimizer.step()
    for name, p in model.named_parameters():
        expected = before[name] * 0.95 if p.dim() >= 2 else before[name]
        torch.testing.assert_close(p.detach(), expected)


def test_attention_in_half_precision_on_a_cpu_is_that_in_float32():
    q, k, v = torch.randn(3, 2, 2, 8, 4).to(torch.bfloat16)
    with autocast(CPU, torch.bfloat16):
        out = causal_attention(q, k, v, 0.0)
    wanted = F.scaled_dot_product_attention(q.float(), k.float(), v.float(), is_causal=True)
    assert out.dtype == torch.float32 and torch.equal(out, wanted)


def test_half_precision_changes_logits_a_little(model):
    idx = torch.randint(11, (2, 8))
    with autocast(CPU, torch.bfloat16):
        half, loss = model(idx, idx)
    full, _ = model(idx)
    assert half.dtype == torch.bfloat16 and loss.dtype == torch.float32
    torch.testing.assert_close(half.float(), full, atol=0.05, rtol=0.05)
    assert not torch.equal(half.float(), full)


def test_a_dtype_that_the_device_cannot_do_is_refused():
    with pytest.raises(BadInput, match="float16 needs a CUDA device"):
        pick_dtype(CPU, 64, "float16")
    with pytest.raises(BadInput, match="no dtype 'int8'"):
        pick_dtype(CPU, 64, "int8")
    assert pick_dtype(CPU, 64) == torch.float32


@pytest.mark.parametrize(
    ("capability", "dtype"), [((7, 5), torch.float16), ((8, 0), torch.bfloat16)]
)
def test_older_gpus_get_float16_and_newer_ones_bfloat16(monkeypatch, capability, dtype):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert pick_dtype(torch.device("cuda"), 64) == dtype


def test_what_compiles_is_tried_on_a_whole_step_and_leaves_no_trace(monkeypatch):
    model, idx = GPT(TINY, dropout=0.5), torch.zeros(1, 8, dtype=torch.long)

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


def test_what_the_trial_compiles_is_what_trains(model, monkeypatch):
    graphs, compile = [], torch.compile

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


@pytest.mark.parametrize("when", ["asked", "used"])
def test_without_a_compiler_the_model_itself_trains(model, monkeypatch, capsys, when):
    def no_compiler(*args):
        raise RuntimeError("no C++ compiler\nand much more")

    asked = no_compiler if when == "asked" else lambda model: no_compiler
    monkeypatch.setattr(torch, "compile", asked)
    assert compiled(model, torch.zeros(1, 8, dtype=torch.long), torch.float32) is model
    said = capsys.readouterr().err
    assert said.startswith("Not compiled") and "no C++ compiler" in said and said.count("\n") == 1
