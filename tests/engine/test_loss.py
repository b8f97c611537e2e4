"""The loss equals torch's cross entropy and counts targets and hits."""

from __future__ import annotations

import shutil
from typing import Any

import pytest
import torch
from model_shapes import random_tokens, small_model
from torch._subclasses import FakeTensorMode
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from tuitrain import accounting
from tuitrain_engine.chunked_loss import chunked_cross_entropy
from tuitrain_engine.loss import cross_entropy
from tuitrain_engine.parallel.compile import CXX_COMPILERS


def example(ignored: int = 5) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    hidden, weight = torch.randn(40, 8, generator=generator), torch.randn(17, 8, generator=generator)
    targets = torch.randint(0, 17, (40,), generator=generator)
    targets[:ignored] = -100
    return hidden, weight, targets


def test_mean_and_gradients_equal_those_of_torchs_cross_entropy() -> None:
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


def test_counts_exclude_ignored_targets() -> None:
    hidden, weight, targets = example()
    best = (hidden @ weight.T).argmax(-1)
    targets[10:20] = best[10:20]
    output = cross_entropy(hidden, weight, targets, with_accuracy=True)
    assert output.count.item() == 35
    assert output.correct is not None
    assert output.correct.item() == sum(t == b for t, b in zip(targets.tolist(), best.tolist(), strict=True))
    assert output.correct.item() >= 10


def test_accuracy_is_only_computed_on_request() -> None:
    assert cross_entropy(*example(), with_accuracy=False).correct is None


def test_a_batch_without_targets_has_a_loss_of_zero() -> None:
    output = cross_entropy(*example(ignored=40), with_accuracy=True)
    assert (output.loss_sum.item(), output.correct.item(), output.count.item()) == (0.0, 0, 0)  # type: ignore[union-attr]


def test_under_autocast_the_softmax_is_float32() -> None:
    hidden, weight, targets = example()
    with torch.autocast("cpu", torch.bfloat16):
        output = cross_entropy(hidden, weight, targets)
    rounded = (hidden.bfloat16() @ weight.bfloat16().T).float()
    torch.testing.assert_close(output.loss_sum, F.cross_entropy(rounded, targets, reduction="sum"))


@pytest.mark.parametrize("tied_embeddings", [False, True])
def test_the_models_loss_equals_that_of_its_logits(tied_embeddings: bool) -> None:
    model = small_model(tied_embeddings=tied_embeddings)
    tokens, targets = random_tokens(2, 24), random_tokens(2, 24, seed=1)
    targets[0, :7] = -100
    output = model(tokens, targets, with_accuracy=True)
    logits = model(tokens)
    expected = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="sum")
    torch.testing.assert_close(output.loss_sum, expected)
    assert output.count.item() == 41
    assert output.correct is not None and output.correct.item() == (logits.argmax(-1) == targets).sum().item()


CHUNKED = {"one row short of all": 39, "several, the last one short": 16, "one row": 1, "more than there are": 64}


@pytest.mark.parametrize("rows", CHUNKED.values(), ids=CHUNKED.keys())
@pytest.mark.parametrize("ignored", [0, 5, 40])
def test_in_chunks_loss_gradients_and_hits_equal_the_dense_ones(rows: int, ignored: int) -> None:
    hidden, weight, targets = example(ignored)
    targets[20:30] = (hidden @ weight.T).argmax(-1)[20:30] if ignored < 20 else -100
    ours, theirs = ([t.clone().requires_grad_() for t in (hidden, weight)] for _ in range(2))
    output = chunked_cross_entropy(*ours, targets, True, rows=rows)
    expected = cross_entropy(*theirs, targets, True)
    assert output.loss_sum.dtype == torch.float32
    torch.testing.assert_close(output, expected)
    # As in the training loop: the sum, divided by a known number.
    (output.loss_sum / 40).backward()
    (expected.loss_sum / 40).backward()
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
@pytest.mark.skipif(not any(map(shutil.which, CXX_COMPILERS)), reason="compiling for the CPU needs a C++ compiler")
@pytest.mark.parametrize(("dtype", "rows"), [(torch.float32, 20), (torch.bfloat16, 16)])  # of 40: each size is compiled
def test_compiled_chunks_equal_eager_ones(dtype: torch.dtype, rows: int) -> None:
    hidden, weight, targets = example()
    targets[20:30] = (hidden @ weight.T).argmax(-1)[20:30]
    one, other = ([t.clone().requires_grad_() for t in (hidden, weight)] for _ in range(2))
    results = []
    for inputs, fused in ((one, False), (other, True)):
        with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
            output = chunked_cross_entropy(*inputs, targets, True, rows=rows, fused=fused)
        output.loss_sum.backward()
        results.append(output)
    torch.testing.assert_close(*results)
    tolerance = 1e-5 if dtype == torch.float32 else 2e-2
    for left, right in zip(one, other, strict=True):
        torch.testing.assert_close(left.grad, right.grad, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("ignored", [0, 5, 40])
def test_padding_the_vocabulary_inside_the_products_changes_nothing(
    dtype: torch.dtype, ignored: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    hidden, weight, targets = example(ignored)
    one, other = ([t.clone().requires_grad_() for t in (hidden, weight)] for _ in range(2))
    results = []
    for inputs, tiled in ((one, False), (other, True)):
        monkeypatch.setattr("tuitrain_engine.chunked_loss._tiled", lambda matrix, tiled=tiled: tiled)
        with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
            output = chunked_cross_entropy(*inputs, targets, True, rows=16)
        output.loss_sum.backward()
        results.append(output)
    torch.testing.assert_close(*results)
    for left, right in zip(one, other, strict=True):
        assert right.grad.shape == right.shape
        torch.testing.assert_close(left.grad, right.grad, rtol=1e-5, atol=1e-5)


def test_torchs_own_chunked_loss_agrees() -> None:
    if not hasattr(F, "linear_cross_entropy"):
        pytest.skip("torch has one from 2.13 on")
    hidden, weight, targets = example()
    ours, theirs = ([t.clone().requires_grad_() for t in (hidden, weight)] for _ in range(2))
    options = torch.nn.LinearCrossEntropyOptions(batch_chunk_size=16)
    chunked_cross_entropy(*ours, targets, rows=16).loss_sum.backward()
    F.linear_cross_entropy(*theirs, targets, reduction="sum", options=options).backward()
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-5, atol=1e-5)


def test_in_chunks_without_gradients_nothing_is_kept_for_a_backward_pass() -> None:
    hidden, weight, targets = example()
    weight.requires_grad_()
    with torch.no_grad():
        output = chunked_cross_entropy(hidden, weight, targets, True, rows=16)
    assert not output.loss_sum.requires_grad
    torch.testing.assert_close(output, cross_entropy(hidden, weight.detach(), targets, True))
    assert chunked_cross_entropy(hidden, weight, targets, rows=16).correct is None


def test_in_chunks_under_autocast_gradients_are_summed_in_float32() -> None:
    """The products are bfloat16 as in the dense loss; sums over chunks are float32."""
    hidden, weight, targets = example()
    ours, theirs, exact = ([t.clone().requires_grad_() for t in (hidden, weight)] for _ in range(3))
    with torch.autocast("cpu", torch.bfloat16):
        output = chunked_cross_entropy(*ours, targets, True, rows=16)
        expected = cross_entropy(*theirs, targets, True)
    torch.testing.assert_close(output, expected)
    cross_entropy(*exact, targets).loss_sum.backward()
    output.loss_sum.backward()
    expected.loss_sum.backward()
    for one, other, reference in zip(ours, theirs, exact, strict=True):
        assert one.grad.dtype == torch.float32
        torch.testing.assert_close(one.grad, other.grad, rtol=2e-2, atol=2e-2)
        assert (one.grad - reference.grad).norm() < 1.1 * (other.grad - reference.grad).norm()


def test_in_chunks_a_second_backward_pass_is_refused() -> None:
    hidden, weight, targets = example()
    loss = chunked_cross_entropy(hidden.requires_grad_(), weight, targets, rows=16).loss_sum
    loss.backward()
    with pytest.raises(RuntimeError, match="second time"):
        loss.backward()


@pytest.fixture
def limit(monkeypatch: pytest.MonkeyPatch) -> int:
    """Chunks of 16 rows for every model, however small."""
    monkeypatch.setattr("tuitrain_engine.loss.chunk_rows", lambda tokens, vocab_size: 16)
    return 16


@pytest.mark.parametrize("tied_embeddings", [False, True])
@pytest.mark.parametrize("frozen", [False, True])
def test_a_model_with_chunks_has_the_dense_gradients(
    tied_embeddings: bool, frozen: bool, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens, targets = random_tokens(2, 24), random_tokens(2, 24, seed=1)
    targets[0, :7] = -100

    def gradients() -> list[torch.Tensor | None]:
        model = small_model(tied_embeddings=tied_embeddings, norm="rmsnorm", norm_bias=False)
        model.head.weight.requires_grad_(not frozen)
        for _ in range(2):
            model(tokens, targets, with_accuracy=True).loss_sum.backward()
        return [p.grad for p in model.parameters()]

    chunked = gradients()
    monkeypatch.undo()
    torch.testing.assert_close(chunked, gradients(), rtol=1e-5, atol=1e-4)


def test_a_compiled_head_computes_chunks_outside_its_graph(limit: int) -> None:
    """torch 2.11 compiles the chunked loss without an error, with wrong gradients: it stays outside every graph."""
    hidden, targets = torch.randn(2, 24, 32), random_tokens(2, 24)
    losses, slopes = [], []
    for compiled in (False, True):
        head, states = small_model().head, hidden.clone().requires_grad_()
        forward = torch.compile(head, backend="aot_eager", dynamic=False) if compiled else head
        output = forward(states, targets, True)
        output.loss_sum.backward()
        losses.append(output)
        slopes.append([states.grad, *(p.grad for p in head.parameters())])
    torch.testing.assert_close(*losses)
    torch.testing.assert_close(*slopes)
    with pytest.raises(Exception, match="disable"):
        torch.compile(small_model().head, backend="aot_eager", fullgraph=True)(hidden, targets)


class Sizes(TorchDispatchMode):
    """Records the number of elements of every tensor that is created."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: list[int] = []

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        self.elements.extend(out.numel() for out in tree_leaves(result) if torch.is_tensor(out))
        return result


def test_the_full_logits_of_a_real_vocabulary_are_never_allocated() -> None:
    tokens, vocab_size = 4096, 151_936
    rows = accounting.chunk_rows(tokens, vocab_size)
    assert rows is not None and rows < tokens / 2
    # Fake tensors: shapes without memory.
    with FakeTensorMode(), Sizes() as sizes:
        hidden, weight = torch.randn(tokens, 8, requires_grad=True), torch.randn(vocab_size, 8, requires_grad=True)
        cross_entropy(hidden, weight, torch.randint(vocab_size, (tokens,)), True).loss_sum.backward()
    assert max(sizes.elements) == rows * vocab_size
