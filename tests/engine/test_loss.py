"""The loss equals torch's cross entropy, counts targets and hits."""

from __future__ import annotations

import pytest
import torch
from model_shapes import random_tokens, small_model
from torch.nn import functional as F

from tuitrain_engine.loss import cross_entropy


def example(ignored: int = 5) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    hidden, weight = torch.randn(40, 8, generator=generator), torch.randn(17, 8, generator=generator)
    targets = torch.randint(0, 17, (40,), generator=generator)
    targets[:ignored] = -100
    return hidden, weight, targets


def test_the_mean_is_torchs_cross_entropy_with_gradients() -> None:
    hidden, weight, targets = example()
    ours, theirs = ([t.clone().requires_grad_() for t in (hidden, weight)] for _ in range(2))
    output = cross_entropy(*ours, targets)
    mean = output.loss_sum / output.count
    expected = F.cross_entropy(theirs[0] @ theirs[1].T, targets)
    torch.testing.assert_close(mean, expected)
    mean.backward()
    expected.backward()
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one.grad, other.grad)
    assert ours[0].grad is not None and not ours[0].grad[:5].any()


def test_counts_leave_ignored_targets_out() -> None:
    hidden, weight, targets = example()
    best = (hidden @ weight.T).argmax(-1)
    targets[10:20] = best[10:20]
    output = cross_entropy(hidden, weight, targets, with_accuracy=True)
    assert output.count.item() == 35
    assert output.correct is not None
    assert output.correct.item() == sum(t == b for t, b in zip(targets.tolist(), best.tolist(), strict=True))
    assert output.correct.item() >= 10


def test_accuracy_is_only_computed_when_asked_for() -> None:
    assert cross_entropy(*example(), with_accuracy=False).correct is None


def test_nothing_to_predict_is_a_loss_of_zero() -> None:
    output = cross_entropy(*example(ignored=40), with_accuracy=True)
    assert (output.loss_sum.item(), output.correct.item(), output.count.item()) == (0.0, 0, 0)  # type: ignore[union-attr]


def test_under_autocast_the_softmax_is_float32() -> None:
    hidden, weight, targets = example()
    with torch.autocast("cpu", torch.bfloat16):
        output = cross_entropy(hidden, weight, targets)
    rounded = (hidden.bfloat16() @ weight.bfloat16().T).float()
    torch.testing.assert_close(output.loss_sum, F.cross_entropy(rounded, targets, reduction="sum"))


@pytest.mark.parametrize("tied_embeddings", [False, True])
def test_the_models_loss_is_that_of_its_logits(tied_embeddings: bool) -> None:
    model = small_model(tied_embeddings=tied_embeddings)
    tokens, targets = random_tokens(2, 24), random_tokens(2, 24, seed=1)
    targets[0, :7] = -100
    output = model(tokens, targets, with_accuracy=True)
    logits = model(tokens)
    expected = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="sum")
    torch.testing.assert_close(output.loss_sum, expected)
    assert output.count.item() == 41
    assert output.correct is not None and output.correct.item() == (logits.argmax(-1) == targets).sum().item()
