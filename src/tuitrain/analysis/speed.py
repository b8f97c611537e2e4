"""What the speed of a run is made of, as far as its log and the accounting tell.

tokens/s = devices × peak × MFU ÷ FLOPs per token, and a step takes tokens per step ÷ tokens/s: whatever makes one run
faster than another is in one of these factors.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tuitrain.accounting import count_parameters, flops_per_token
from tuitrain.analysis.metric_rows import MetricRow, metric_row
from tuitrain.analysis.metrics import SPEED_METRICS
from tuitrain.analysis.summary import Summary, mean_of
from tuitrain.runs import RunHistory

if TYPE_CHECKING:
    from tuitrain.analysis.claims import Claims
    from tuitrain.config import ModelConfig

_MEASURED = ("tokens_per_sec", "step_s", "data_share", "logged_mfu", "scatter")
"""Fields of an account that differ between any two runs."""
SAME_COST = 0.005
"""Relative difference up to which the FLOPs per token of a log are those of its shapes."""


@dataclass(frozen=True)
class Account:
    """The speed of a run and what it is made of. Unknown is None.

    blocks, head and attention are parts of flops_per_token: the linear layers of the blocks, the output head, the
    products of queries, keys and values. vocabulary_share is of the parameters: embedding and output head.
    """

    tokens_per_sec: float | None = None
    step_s: float | None = None
    tokens_per_step: int | None = None
    flops_per_token: float | None = None
    blocks: float | None = None
    head: float | None = None
    attention: float | None = None
    vocabulary_share: float | None = None
    layers: int | None = None
    width: int | None = None
    heads_width: int | None = None
    """Of all query heads together."""
    feed_forward: str | None = None
    """Its kind and width."""
    vocabulary: int | None = None
    seq_len: int | None = None
    micro_batch: int | None = None
    accumulation: int | None = None
    devices: int | None = None
    device: str | None = None
    peak_tflops: float | None = None
    recomputation: str | None = None
    data_share: float | None = None
    logged_mfu: float | None = None
    scatter: float = 0.0
    """Relative, of the step times."""

    @property
    def achieved_tflops(self) -> float | None:
        """TFLOP/s of all devices together."""
        if self.tokens_per_sec is None or self.flops_per_token is None:
            return None
        return self.tokens_per_sec * self.flops_per_token / 1e12

    @property
    def utilisation(self) -> float | None:
        """The MFU that follows, 0–1."""
        achieved = self.achieved_tflops
        if achieved is None or not self.devices or not self.peak_tflops:
            return None
        return achieved / (self.devices * self.peak_tflops)

    @property
    def blocks_share(self) -> float | None:
        """Share of the FLOPs per token."""
        return self._share(self.blocks)

    @property
    def head_share(self) -> float | None:
        """Share of the FLOPs per token."""
        return self._share(self.head)

    @property
    def attention_share(self) -> float | None:
        """Share of the FLOPs per token."""
        return self._share(self.attention)

    def _share(self, part: float | None) -> float | None:
        return None if part is None or not self.flops_per_token else part / self.flops_per_token


def account(history: RunHistory, summary: Summary) -> Account:
    """The account of a run. The parts of a token are known where the shapes give the FLOPs per token of the log."""
    # With pydantic, for which the first frame of the dashboard does not wait.
    from tuitrain.analysis.claims import claims_of

    claims = claims_of(history.run, history.steps)
    model = _model(claims)
    # Without heads and width the layers may be those of an adapter.
    shape = claims.shape if claims.models else {}
    step_ms, data_ms = summary.mean_step_time_ms, mean_of(history, "data_time_ms")
    parallel = history.run.parallel if history.run else None
    made = Account(
        tokens_per_sec=summary.mean_tokens_per_sec,
        step_s=None if step_ms is None else step_ms / 1000,
        tokens_per_step=summary.effective_batch_tokens,
        flops_per_token=claims.flops,
        layers=shape.get("n_layers"),
        width=shape.get("d_model"),
        heads_width=None if model is None else model.n_heads * model.head_dim,
        feed_forward=None if model is None else f"{model.ffn} {model.d_ff:,}",
        vocabulary=claims.vocab_size,
        seq_len=claims.seq_len,
        micro_batch=claims.micro_batch,
        accumulation=claims.accumulation,
        devices=claims.processes,
        device=claims.device,
        peak_tflops=claims.peak,
        recomputation=parallel.activation_checkpointing if parallel else None,
        data_share=data_ms / step_ms if data_ms is not None and step_ms else None,
        logged_mfu=summary.mean_mfu,
        scatter=summary.step_time_scatter or 0.0,
    )
    if model is None:
        return made
    cost, counts = flops_per_token(model), count_parameters(model)
    return replace(
        made,
        flops_per_token=claims.flops or cost.full,
        blocks=cost.matmul - cost.head,
        head=cost.head,
        attention=cost.attention,
        vocabulary_share=(counts.embedding + counts.head) / counts.total,
    )


def _model(claims: Claims) -> ModelConfig | None:
    """The architecture whose FLOPs per token are those of the log; None where none is, or several are that differ.

    A log that states no FLOPs per token is taken at its shapes.
    """
    if claims.vocab_size is None:
        return None
    costs = {model: flops_per_token(model).full for model in claims.models}
    if claims.flops is not None:
        costs = {model: cost for model, cost in costs.items() if abs(cost / claims.flops - 1) <= SAME_COST}
    if not costs or max(costs.values()) > min(costs.values()) * (1 + SAME_COST):
        return None
    return min(costs, key=lambda model: (costs[model], str(model)))


@dataclass(frozen=True)
class Named:
    """The account of a run, or of a group in the mean, under its name. scatter: relative, of its speed."""

    name: str
    account: Account
    scatter: float = 0.0


def named_accounts(names: Sequence[str], columns: Sequence[Sequence[Account]]) -> list[Named]:
    """The account of each column: of a group at its mean speed what all its runs agree in."""
    return [_named(name, column) for name, column in zip(names, columns, strict=True)]


def _named(name: str, accounts: Sequence[Account]) -> Named:
    first = accounts[0]
    if len(accounts) == 1:
        return Named(name, first, first.scatter)
    agreed = {
        key: value
        for key, value in vars(first).items()
        if key not in _MEASURED and all(getattr(other, key) == value for other in accounts)
    }
    rates = [each.tokens_per_sec for each in accounts if each.tokens_per_sec is not None]
    mean = statistics.fmean(rates) if rates else None
    scatter = statistics.stdev(rates) / mean if mean and len(rates) > 1 else 0.0
    return Named(name, Account(**agreed, tokens_per_sec=mean), scatter)


def speed_rows(columns: Sequence[Sequence[Account]], baseline: int) -> list[MetricRow]:
    """The parts of the account in which runs differ. columns: the accounts of one run, or of a group."""
    rows = []
    for metric in SPEED_METRICS:
        values = [[getattr(each, metric.key) for each in column] for column in columns]
        row = metric_row(metric, values, baseline)
        if len({metric.text(value) for value in row.values}) > 1:
            rows.append(row)
    return rows
