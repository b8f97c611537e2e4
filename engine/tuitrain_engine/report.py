"""The console: the startup report, a line per record, the summary."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TextIO

from tuitrain import accounting, events
from tuitrain.accounting import RECENT_RECORDS, duration_text, seconds_left
from tuitrain.config import RunConfig
from tuitrain.text import clean, clean_coloured, clean_lines
from tuitrain_engine.decision import Decision
from tuitrain_engine.formatting import UNKNOWN, bytes_text, milliseconds, number, si

LABEL_WIDTH = 14
_STYLES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}
_LEVELS = {"info": "cyan", "warning": "yellow", "critical": "red"}
# The fields of a step line that are left out first on a terminal too narrow for all of them.
_EXPENDABLE = ("tflops", "accuracy", "lr", "memory", "slowest", "mfu", "grad_norm", "step_time", "eta")

Section = tuple[str, list[tuple[str, str]]]


@dataclass(frozen=True)
class Terminal:
    """The output stream: whether it supports colour, and its width (None: not a terminal, lines are not cut)."""

    stream: TextIO
    colour: bool
    width: int | None

    @classmethod
    def of(cls, stream: TextIO) -> Terminal:
        """Inspect a stream and the environment: FORCE_COLOR, NO_COLOR, TERM=dumb."""
        on_terminal = stream.isatty()
        wanted = on_terminal and os.environ.get("TERM") != "dumb"
        colour = bool(os.environ.get("FORCE_COLOR")) or (wanted and not os.environ.get("NO_COLOR"))
        return cls(stream, colour, shutil.get_terminal_size().columns if on_terminal else None)

    def style(self, text: str, *names: str) -> str:
        """The text in a colour or weight, where colour is on."""
        if not self.colour or not names:
            return text
        return f"\x1b[{';'.join(_STYLES[name] for name in names)}m{clean(text)}\x1b[0m"

    def print(self, text: str) -> None:
        """Print and flush, inert. A failure to print, as on a full disk, does not end the run."""
        with suppress(OSError):
            print((clean_coloured if self.colour else clean_lines)(text), file=self.stream, flush=True)


# ── the startup report ───────────────────────────────────────────────────────────────────────────────────


def startup_report(
    run: events.Run,
    config: RunConfig,
    total_tokens: int,
    data: Iterable[str],
    decisions: Iterable[Decision],
    terminal: Terminal,
) -> str:
    """The model, the hardware, and each decision with its reason. total_tokens: of the whole run."""
    software = run.software or events.Software()
    attempt = f", attempt {run.attempt}" if run.attempt > 1 else ""
    sections = [_model(run, config), _hardware(run), _training(run, config, total_tokens)]
    lines = [
        terminal.style(run.run_id, "bold") + attempt,
        f"tuitrain {software.tuitrain} · torch {software.torch} · Python {software.python}"
        + (f" · git {software.git_commit[:9]}" if software.git_commit else ""),
    ]
    for title, rows in sections:
        lines += ["", terminal.style(title, "bold", "cyan")]
        for label, text in rows:
            lines += _row(label, text, terminal)
    lines += ["", terminal.style("Data", "bold", "cyan")]
    for line in data:
        label, _, text = line.partition("  ")
        lines += _row(label, text.strip(), terminal)
    lines += ["", terminal.style("Decisions", "bold", "cyan"), *_decisions(list(decisions), terminal), ""]
    return "\n".join(lines)


def _model(run: events.Run, config: RunConfig) -> Section:
    m, a = config.model, run.architecture
    assert a is not None
    norm = m.norm + (" with bias" if m.norm_bias else "") + f", {m.norm_position}"
    rows = [
        ("architecture", a.name),
        ("parameters", f"{a.params_total:,} total · {a.params_trainable:,} trainable"),
        ("", f"{a.params_non_embedding:,} non-embedding"),
        ("layers", f"{m.n_layers}"),
        ("width", f"{m.d_model}, feed-forward {m.d_ff} ({m.ffn})"),
        ("heads", f"{m.n_heads} query, {m.n_kv_heads} key-value, {m.head_dim} wide"
         + (", queries and keys normalised" if m.qk_norm else "")),
        ("sequence", f"{m.seq_len:,} tokens" + (f", window {m.window:,}" if m.window else "")),
        ("vocabulary", f"{m.vocab_size:,}"),
        ("norm", f"{norm}, eps {m.norm_eps:g}"),
        ("position", f"{m.position}, theta {m.rope_theta:,.0f}" if m.position == "rope" else m.position),
        ("embeddings", "tied to the output head" if m.tied_embeddings else "untied"),
        ("bias, dropout", f"{'with' if m.bias else 'no'} bias, dropout {m.dropout:g}"),
    ]  # fmt: skip
    return "Model", rows


def _hardware(run: events.Run) -> Section:
    hardware = run.hardware
    assert hardware is not None
    peak = UNKNOWN + " (so MFU is n/a; hardware.peak_tflops sets it)"
    if hardware.peak_tflops is not None:
        peak = f"{hardware.peak_tflops:g} TFLOP/s in {run.dtype} ({hardware.peak_source})"
    memory = number(hardware.memory_gb, ",.1f")
    return "Hardware", [
        ("device", f"{hardware.count} × {hardware.device}"),
        ("memory", f"{memory} GB"),
        ("peak", peak),
    ]


def _training(run: events.Run, config: RunConfig, tokens: int) -> Section:
    train, world = config.train, run.parallel.world_size if run.parallel else 1
    assert run.total_steps is not None and run.tokens_per_step is not None and run.flops_per_token is not None
    accumulation, processes = config.accumulation(world), f"{world} process{'es' if world > 1 else ''}"
    bound = "at most " if config.model.document_mask else ""
    budget = "no budget" if train.token_budget is None else f"budget {si(train.token_budget)}"
    return "Training", [
        ("tokens/step", f"{run.tokens_per_step:,} = {train.global_batch_size} sequences × {config.model.seq_len}"),
        ("batch", f"{train.micro_batch} sequences × {accumulation} accumulated × {processes}"),
        ("steps", f"{run.total_steps:,} = {si(tokens)} tokens, {budget}"),
        ("FLOPs/token", f"{si(run.flops_per_token, 'FLOP')}, {bound}{si(run.flops_per_token_causal, 'FLOP')} causal"),
        ("whole run", si(tokens * run.flops_per_token, "FLOP")),
        ("schedule", accounting.schedule_text(config, run.total_steps)),
        ("seed", f"{train.seed}"),
    ]  # fmt: skip


def _decisions(decisions: list[Decision], terminal: Terminal) -> list[str]:
    widest = min(max(len(decision.value) for decision in decisions), 22)
    lines = []
    for decision in decisions:
        head = f"  {decision.subject:<{LABEL_WIDTH}}{clean(decision.value):<{widest}}  "
        wrapped = textwrap.wrap(clean(decision.reason), max(_width(terminal) - len(head), 24))
        lines.append(head + terminal.style(wrapped[0] if wrapped else "", "dim"))
        lines += [" " * len(head) + terminal.style(text, "dim") for text in wrapped[1:]]
    return lines


def _row(label: str, text: str, terminal: Terminal) -> list[str]:
    indent = " " * (LABEL_WIDTH + 2)
    return textwrap.wrap(
        clean(text),
        _width(terminal),
        initial_indent=f"  {clean(label):<{LABEL_WIDTH}}",
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _width(terminal: Terminal) -> int:
    return max(min(terminal.width or 80, 100), 60)


# ── while it runs ────────────────────────────────────────────────────────────────────────────────────────


class Console:
    """Prints the line of each record that has one."""

    def __init__(self, total_steps: int, terminal: Terminal, best_val_loss: float | None = None) -> None:
        self._total, self._terminal = total_steps, terminal
        self._recent = deque[tuple[float, int]](maxlen=RECENT_RECORDS)
        """Time and step of the newest records of this attempt."""
        self._best = float("inf") if best_val_loss is None else best_val_loss

    def note(self, tag: str, text: str) -> None:
        """Print a line that belongs to no record."""
        self._terminal.print(f"{tag:<8}  {clean(text)}")

    def show(self, record: events.Record) -> None:
        """Print the record's line; records without one (run, system, layers) print nothing."""
        match record:
            case events.Step():
                self._terminal.print(self._step(record))
            case events.Eval():
                self._terminal.print(self._eval(record))
            case events.Sample():
                self._print_sample(record)
            case events.Checkpoint():
                size = bytes_text(record.bytes) if record.bytes is not None else UNKNOWN
                self._line("saved", record.step, f"{record.path}  {size} in {milliseconds(record.duration_ms)}")
            case events.Alert():
                self._terminal.print(
                    self._terminal.style(f"{record.level:<8}  {record.message}", _LEVELS[record.level])
                )
            case events.Control():
                if record.request == "continue":
                    # The time of a pause is no pace.
                    self._recent.clear()
                self._terminal.print(f"{'request':<8}  {clean(record.request)}: {clean(record.result)}")

    def _step(self, record: events.Step) -> str:
        self._recent.append((record.time, record.step))
        times, steps = zip(*self._recent, strict=True)
        each = None if record.step_time_ms is None else record.step_time_ms / 1e3
        left = seconds_left(self._total - record.step, times, steps, each)
        mfu = UNKNOWN if record.mfu is None else f"{record.mfu:.1%}"
        accuracy = UNKNOWN if record.accuracy is None else f"{record.accuracy:.1%}"
        memory = f"{number(record.mem_allocated_gb, '.2f')}/{number(record.mem_peak_gb, '.2f')} GB"
        fields = {
            "step": f"{'step':<8}  {self._count(record.step)}",
            "loss": f"loss {number(record.loss, '.4f'):>7}",
            "accuracy": f"acc {accuracy:>5}",
            "lr": f"lr {number(record.lr, '.2e')}",
            "step_time": f"{milliseconds(record.step_time_ms):>7}",
            "speed": f"{si(record.tokens_per_sec):>5} tok/s",
            "mfu": f"MFU {mfu:>5}",
            "tflops": f"{_tflops(record.tflops):>5} TFLOP/s",
            "memory": f"mem {memory}",
            "grad_norm": f"grad {number(record.grad_norm, '.2f'):>5}",
            "eta": f"ETA {duration_text(left)}",
        }
        if isinstance(record.slowest_rank, int) and isinstance(record.rank_skew_ms, float):
            fields["slowest"] = f"slowest rank {record.slowest_rank} +{milliseconds(record.rank_skew_ms)}"
        for name in _EXPENDABLE:
            if self._terminal.width is None or _length(fields) <= self._terminal.width:
                break
            fields.pop(name, None)
        return "  ".join(fields.values())

    def _eval(self, record: events.Eval) -> str:
        best = record.loss < self._best
        self._best = min(self._best, record.loss)
        accuracy = UNKNOWN if record.accuracy is None else f"{record.accuracy:.1%}"
        text = (
            f"{'eval':<8}  {self._count(record.step)}  loss {record.loss:>7.4f}  acc {accuracy:>5}  "
            f"perplexity {number(record.perplexity, '.2f'):>7}  {milliseconds(record.duration_ms)}"
            + ("  best" if best else "")
        )
        return self._terminal.style(text, "green")

    def _print_sample(self, record: events.Sample) -> None:
        self._line("sample", record.step, "")
        for number_of_line, line in enumerate((record.prompt + record.text).splitlines() or [""]):
            shown = "".join(c if c.isprintable() or c == "\t" else "·" for c in line)
            if number_of_line == 0 and shown.startswith(record.prompt) and "\n" not in record.prompt:
                shown = self._terminal.style(record.prompt, "bold") + shown[len(record.prompt) :]
            self._terminal.print(f"{'':<8}  │ {shown}")

    def _line(self, tag: str, step: int, text: str) -> None:
        self._terminal.print(f"{tag:<8}  {self._count(step)}  {clean(text)}".rstrip())

    def _count(self, step: int) -> str:
        return f"{step:>{len(str(self._total))}}/{self._total}"


def _tflops(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:.1f}" if value >= 10 else f"{value:.3f}"


def _length(fields: dict[str, str]) -> int:
    return sum(len(text) + 2 for text in fields.values()) - 2


# ── the end ──────────────────────────────────────────────────────────────────────────────────────────────


def summary_text(end: events.End, run_dir: str, terminal: Terminal) -> str:
    """The last block of the console."""
    colour = {"completed": "green", "stopped": "yellow", "failed": "red"}[end.status]
    reason = clean(end.reason or "")
    # A reason such as "stopped by SIGINT (Ctrl-C)" begins with the status.
    rest = reason.removeprefix(end.status) if reason.startswith(end.status) else f": {reason}" if reason else ""
    title = terminal.style(end.status, "bold", colour) + rest
    s: dict[str, Any] = end.summary
    best = f", best {number(s.get('best_val_loss'), '.4f')} at step {number(s.get('best_val_step'), 'd')}"
    mfu = s.get("mean_mfu")
    rows = [
        ("loss", number(s.get("final_loss"), ".4f")),
        ("val loss", number(s.get("final_val_loss"), ".4f") + (best if s.get("best_val_loss") is not None else "")),
        ("steps", f"{number(end.step, ',d')}, {si(end.tokens)} tokens"),
        ("time", f"{duration_text(s.get('training_time_s'))} in steps, {duration_text(s.get('wall_time_s'))} in all"),
        ("speed", f"{si(s.get('mean_tokens_per_sec'))} tok/s, MFU {UNKNOWN if mfu is None else f'{mfu:.1%}'}"),
        ("peak memory", f"{number(s.get('peak_memory_gb'), '.2f')} GB"),
        ("run", clean(run_dir)),
    ]
    return "\n".join(["", title, *(f"  {label:<{LABEL_WIDTH}}{text}" for label, text in rows)])


def stdout() -> Terminal:
    """The console of this process."""
    return Terminal.of(sys.stdout)


def stderr() -> Terminal:
    """The console for errors."""
    return Terminal.of(sys.stderr)
