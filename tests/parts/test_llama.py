"""ModernGPT is Llama's design to the last detail: the library `transformers` computes the same."""

from lessons.modern.model import ModernConfig, ModernGPT

import pytest
import torch

# Theirs -> ours, within a name.
NAMES = {
    "model.embed_tokens": "token_embedding",
    "model.layers": "body",
    "model.norm": "ln_f",
    "input_layernorm": "ln_1",
    "post_attention_layernorm": "ln_2",
    "self_attn.q_proj": "attn.query",
    "self_attn.k_proj": "attn.key",
    "self_attn.v_proj": "attn.value",
    "self_attn.o_proj": "attn.proj",
    "gate_proj": "gate",
    "up_proj": "up",
    "down_proj": "down",
}


def ours(name: str) -> str:
    for their, our in NAMES.items():
        name = name.replace(their, our)
    return name


@pytest.mark.slow
@pytest.mark.parametrize("tied", [True, False])
def test_with_the_same_weights_it_gives_the_logits_of_transformers_llama(tied):
    # Here, because this import takes seconds.
    from transformers import LlamaConfig, LlamaForCausalLM

    config = ModernConfig(vocab_size=50, block_size=24, n_layer=3, n_head=6, n_group=2, n_embd=48,
                          n_hidden=80, rope_base=500.0, tied=tied)  # fmt: skip
    torch.manual_seed(1)
    theirs = LlamaForCausalLM(LlamaConfig(
        vocab_size=50, max_position_embeddings=24, num_hidden_layers=3, num_attention_heads=6,
        num_key_value_heads=2, hidden_size=48, intermediate_size=80, rope_theta=500.0,
        rms_norm_eps=1e-5, tie_word_embeddings=tied, initializer_range=0.2,
    )).eval()  # fmt: skip
    model = ModernGPT(config)
    model.load_state_dict({ours(name): value for name, value in theirs.state_dict().items()})
    idx = torch.randint(50, (2, 24))
    with torch.no_grad():
        torch.testing.assert_close(model(idx)[0], theirs(idx).logits, atol=1e-5, rtol=1e-5)
        # Another base would show: the first places hardly feel it, the last ones do.
        other = ModernGPT(ModernConfig(**vars(config) | {"rope_base": 10_000.0}))
        other.load_state_dict(model.state_dict())
        assert (other(idx)[0] - theirs(idx).logits).abs().max() > 1e-2
