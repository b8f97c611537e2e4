"""The linear cross-entropy three ways: all logits at once, in chunks (ours), in chunks (torch's own, from 2.13).

One forward and backward pass each, with and without counting right predictions: time, the memory that torch allocates
on top of hidden states and weight, and how far the loss and the weight's gradient are from float64. torch's own counts
nothing, so the products are made a second time for it, a chunk at a time. The default shape, with an eighth of Qwen3's
vocabulary, is one for two CPU cores.

python bench/loss.py [--tokens N] [--width N] [--vocabulary N] [--rows N] [--repeat N]
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from common import print_table, synchronise
from memory import peak_of_window
from tuitrain_engine.chunked_loss import chunked_cross_entropy
from tuitrain_engine.loss import cross_entropy
from tuitrain_engine.loss_output import count_correct

Loss = Callable[[Tensor, Tensor, Tensor, bool], Tensor]


def dense(hidden: Tensor, weight: Tensor, targets: Tensor, with_accuracy: bool) -> Tensor:
    """All logits at once."""
    return cross_entropy(hidden, weight, targets, with_accuracy).loss_sum


def ours(
    hidden: Tensor, weight: Tensor, targets: Tensor, with_accuracy: bool, *, rows: int, fused: bool = False
) -> Tensor:
    """One pass over the chunks for loss, hits and gradients; fused: what is done to the logits is compiled."""
    return chunked_cross_entropy(hidden, weight, targets, with_accuracy, rows=rows, fused=fused).loss_sum


def torchs_own(hidden: Tensor, weight: Tensor, targets: Tensor, with_accuracy: bool, *, rows: int) -> Tensor:
    """`F.linear_cross_entropy`, cast as autocast would, and another pass for the hits."""
    if torch.is_autocast_enabled(hidden.device.type):
        dtype = torch.get_autocast_dtype(hidden.device.type)
        hidden, weight = hidden.to(dtype), weight.to(dtype)
    options = torch.nn.LinearCrossEntropyOptions(batch_chunk_size=rows)
    loss = F.linear_cross_entropy(hidden, weight, targets, reduction="sum", options=options)
    if with_accuracy:
        with torch.no_grad():
            for part, wanted in zip(hidden.split(rows), targets.split(rows), strict=True):
                count_correct(F.linear(part, weight), wanted)
    return loss


def one_pass(loss: Loss, inputs: list[Tensor], dtype: str, with_accuracy: bool) -> Tensor:
    """Forward and backward; returns the loss, gradients stay in the inputs."""
    hidden, weight, targets = inputs
    hidden.grad = weight.grad = None
    with torch.autocast(hidden.device.type, torch.bfloat16, enabled=dtype == "bfloat16"):
        result = loss(hidden, weight, targets, with_accuracy)
    # As the loop does it, so that what is rounded on the way back is rounded here too.
    (result / len(targets)).backward()
    synchronise()
    return result.detach()


def peak_memory(once: Callable[[], Tensor]) -> int:
    """Bytes that torch allocates in one pass, at most at once."""
    with peak_of_window() as (window, result), window():
        once()
    return result()


def table(ways: dict[str, Loss], inputs: list[Tensor], repeat: int) -> Iterator[list[str]]:
    """A row for each way in each dtype, with and without hits; the best of `repeat` times, taken turn by turn."""
    exact = [part.detach().double().requires_grad_() for part in inputs[:2]]
    expected = F.cross_entropy(F.linear(*exact), inputs[2], reduction="sum")
    (expected / len(inputs[2])).backward()
    reference, slope = float(expected.detach()), exact[1].grad
    for dtype, with_accuracy in itertools.product(("float32", "bfloat16"), (False, True)):
        passes = {name: partial(one_pass, loss, inputs, dtype, with_accuracy) for name, loss in ways.items()}
        times: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(repeat):
            for name, once in passes.items():
                started = time.perf_counter()
                once()
                times[name].append(time.perf_counter() - started)
        for name, once in passes.items():
            wrong = abs(float(once()) / reference - 1)
            off = float((inputs[1].grad - slope).norm() / slope.norm())
            inputs[0].grad = inputs[1].grad = None
            yield [
                f"{name}, with hits" if with_accuracy else name,
                dtype,
                f"{min(times[name]) * 1e3:,.0f}",
                f"{peak_memory(once) / 1e6:,.0f}",
                f"{wrong:.0e}",
                f"{off:.0e}",
            ]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=2048)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--vocabulary", type=int, default=18_992)
    parser.add_argument("--rows", type=int, default=512)
    parser.add_argument("--repeat", type=int, default=5)
    options = parser.parse_args()
    torch.manual_seed(0)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    hidden = torch.randn(options.tokens, options.width, device=device, requires_grad=True)
    weight = (torch.randn(options.vocabulary, options.width, device=device) * 0.05).requires_grad_()
    inputs = [hidden, weight, torch.randint(options.vocabulary, (options.tokens,), device=device)]
    ways: dict[str, Loss] = {
        "all at once": dense,
        "chunks, ours": partial(ours, rows=options.rows),
        "chunks, ours, compiled": partial(ours, rows=options.rows, fused=True),
    }
    if hasattr(F, "linear_cross_entropy"):
        ways["chunks, torch's own"] = partial(torchs_own, rows=options.rows)
    print(
        f"{options.tokens:,} tokens, {options.vocabulary:,} logits, width {options.width}, {options.rows} rows a chunk"
    )
    header = ["loss", "dtype", "ms", "peak, MB", "loss off by", "gradient off by"]
    print_table(header, list(table(ways, inputs, options.repeat)))


if __name__ == "__main__":
    main()
