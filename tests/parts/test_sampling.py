"""Writing: what the model says of the last position is drawn, and reshaped as asked."""

from lessons.bigram import BigramLanguageModel
from lessons.sampling import generate

import pytest
import torch
import torch.nn as nn

V, N = 5, 20_000


@pytest.fixture
def model():
    torch.manual_seed(0)
    model = BigramLanguageModel(V)
    nn.init.normal_(model.token_embedding.weight)
    return model


def frequencies(model: nn.Module, **how) -> torch.Tensor:
    """How often each token follows a prompt that ends with 3."""
    prompt = torch.tensor([[1, 3]]).expand(N, -1)
    out = generate(model, prompt, 1, generator=torch.Generator().manual_seed(0), **how)
    assert torch.equal(out[:, :2], prompt)
    return torch.bincount(out[:, 2], minlength=V) / N


@pytest.mark.parametrize("temperature", [None, 0.5, 1.0, 2.0])
def test_tokens_are_drawn_as_often_as_the_model_says(model, temperature):
    how = {} if temperature is None else {"temperature": temperature}
    expected = (model.token_embedding.weight[3] / (temperature or 1)).softmax(dim=0)
    torch.testing.assert_close(frequencies(model, **how), expected, atol=0.015, rtol=0)


@pytest.mark.parametrize("top_k", [1, 2, 4])
def test_top_k_draws_from_the_k_likeliest_alone_in_their_proportions(model, top_k):
    kept = model.token_embedding.weight[3].topk(top_k)
    expected = torch.zeros(V).index_copy(0, kept.indices, kept.values.softmax(dim=0))
    found = frequencies(model, top_k=top_k)
    torch.testing.assert_close(found, expected, atol=0.015, rtol=0)
    assert (found > 0).sum() == top_k


def test_each_prompt_of_a_batch_is_continued_with_its_own_likeliest(model):
    prompts = torch.arange(V)[:, None]
    best = model.token_embedding.weight.argmax(dim=1)
    assert torch.equal(generate(model, prompts, 1, top_k=1)[:, 1], best)


def test_the_last_position_of_what_fits_the_context_decides():
    class CountsOn(nn.Module):
        block_size = 3

        def forward(self, idx):
            return 9.0 * nn.functional.one_hot((idx + 1) % V, V), None

    out = generate(CountsOn(), torch.tensor([[4, 2, 0, 1], [1, 1, 1, 3]]), 3, top_k=1)
    assert out[:, 4:].tolist() == [[2, 3, 4], [4, 0, 1]]


def test_writing_leaves_dropout_off_and_the_model_in_training():
    class Says(nn.Module):
        block_size = 1
        seen = []

        def forward(self, idx):
            self.seen.append((self.training, torch.is_grad_enabled()))
            return torch.zeros(*idx.shape, V), None

    model = Says().train()
    generate(model, torch.zeros(1, 1, dtype=torch.long), 3)
    assert model.seen == [(False, False)] * 3 and model.training


def test_a_lone_prompt_too_is_continued_with_any_of_the_k_likeliest(model):
    generator = torch.Generator().manual_seed(0)
    drawn = {generate(model, torch.tensor([[3]]), 1, top_k=2, generator=generator)[0, 1].item()
             for _ in range(50)}  # fmt: skip
    assert drawn == set(model.token_embedding.weight[3].topk(2).indices.tolist())
