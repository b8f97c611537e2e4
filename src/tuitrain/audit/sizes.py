"""Parameters and FLOPs per token against the shapes of the architecture, and against each other."""

from __future__ import annotations

from collections.abc import Iterator

from tuitrain.accounting import count_parameters, flops_per_token
from tuitrain.analysis import units
from tuitrain.analysis.claims import Claims
from tuitrain.audit.arithmetic import comparison, differ, nearest, rounding
from tuitrain.audit.audited_log import AuditedLog
from tuitrain.audit.conventions import flops_conventions, shapes_known
from tuitrain.audit.finding import Finding, NotCheckedError
from tuitrain.config import ModelConfig

TOLERANCE = 0.005
CONVENTIONS = 0.05
"""Tolerance where a tool may count another way."""
LEAST_PER_PARAMETER, MOST_PER_PARAMETER = 3.0, 60.0
"""FLOPs per token for each parameter. The least: two untied tables of which one multiplies nothing, and few layers. The
most: attention over 128k tokens in a narrow model."""


def find_parameters(log: AuditedLog) -> Iterator[Finding]:
    """Parameters against the number that the shapes give."""
    checkable = [each for each in log.claims if each.params is not None and each.models]
    if not checkable:
        raise NotCheckedError("the number of parameters, or the shapes of the architecture, are not known")
    for claims in checkable:
        yield from _parameters(claims)


def _parameters(claims: Claims) -> Iterator[Finding]:
    stated = claims.params or 0.0
    recorded = claims.run.architecture if claims.run is not None else None
    for key in ("params_trainable", "params_non_embedding"):
        part = getattr(recorded, key, None)
        if part is not None and part > stated:
            message = f"{key} is {part:,}, more than all {stated:,.0f} parameters."
            yield Finding("impossible", message, values={"params_total": stated, key: part})
    totals = {count_parameters(model).total: model for model in claims.models}
    tolerance = TOLERANCE + rounding(stated)
    if claims.vocab_size is None:
        least = min(totals)
        if stated < least / (1 + tolerance):
            message = (
                f"The model has {stated:,.0f} parameters, but its layers alone, {_shape_text(claims)}, "
                f"have at least {least:,}: {comparison(stated, least)}."
            )
            yield Finding("impossible", message, "Likelier: the shapes.", {"params_total": stated, "layers": least})
        return
    total = int(nearest(stated, totals))
    if "d_ff" not in claims.shape:
        # The width of the feed-forward unit is a guess.
        tolerance += 0.15
    if not differ(stated, total, tolerance):
        return
    message = (
        f"The model has {stated:,.0f} parameters, but {_shape_text(claims)}, "
        f"vocabulary {claims.vocab_size:,}, has {total:,}: {comparison(stated, total)}."
    )
    likelier = _other_count(stated, totals[total]) or _by_flops(claims, stated, totals[total])
    yield Finding("impossible", message, likelier, {"params_total": stated, "from_shapes": total})


def _other_count(stated: float, model: ModelConfig) -> str:
    """What else of this architecture has the stated number of parameters."""
    counts = count_parameters(model)
    tied = count_parameters(model.model_copy(update={"tied_embeddings": not model.tied_embeddings}))
    others = {
        f"with {'untied' if model.tied_embeddings else 'tied'} embeddings": tied.total,
        "without the embeddings": counts.non_embedding,
        "without the norms": counts.total - counts.norms,
    }
    for what, count in others.items():
        if not differ(stated, count, TOLERANCE + rounding(stated)):
            return f"Likelier: the number is that of the model {what}, {count:,}."
    return ""


def _by_flops(claims: Claims, stated: float, model: ModelConfig) -> str:
    """Which of parameters and shapes the FLOPs per token agree with."""
    if claims.flops is None:
        return "Likelier: the shapes, from which the number of parameters follows."
    full = flops_per_token(model).full
    shapes_agree = not differ(claims.flops, full, TOLERANCE + rounding(claims.flops))
    if shapes_agree:
        return f"Likelier: the shapes, which also give the {units.flop(claims.flops)} per token that the log states."
    if not differ(claims.flops, 6 * stated, CONVENTIONS):
        return f"Likelier: the parameters, since {units.flop(claims.flops)} per token are 6 for each of them."
    return "Likelier: the shapes, from which the number of parameters follows."


def find_flops(log: AuditedLog) -> Iterator[Finding]:
    """FLOPs per token against the shapes, or else against 6 for each parameter."""
    stated = [each for each in log.claims if each.flops is not None]
    checkable = [each for each in stated if shapes_known(each) or each.params is not None]
    if not stated:
        raise NotCheckedError("the FLOPs per token are not known")
    if not checkable:
        raise NotCheckedError("neither the shapes of the architecture nor the number of parameters are known")
    for claims in checkable:
        yield from _by_shapes(claims) if shapes_known(claims) else _by_parameters(claims)


def _by_shapes(claims: Claims) -> Iterator[Finding]:
    stated, tolerance = claims.flops or 0.0, TOLERANCE + rounding(claims.flops or 0.0)
    models = {flops_per_token(model).full: model for model in claims.models}
    full = nearest(stated, models)
    model = models[full]
    conventions = flops_conventions(model)
    if "d_ff" not in claims.shape:
        tolerance += 0.15
    fits = {
        name for name, value in conventions.items() if not differ(stated, value, max(tolerance, _slack(claims)))
    }  # fmt: skip
    if "" in fits:
        yield from _causal(claims, model)
        return
    message = (
        f"FLOPs per token are {units.flop(stated)}, but {_shape_text(claims)}, vocabulary "
        f"{claims.vocab_size:,}, {claims.seq_len:,} tokens a sequence, takes {units.flop(full)}: "
        f"{comparison(stated, full)}."
    )
    values = {"flops_per_token": stated, "from_shapes": full}
    if fits:
        if claims.is_exact:
            yield Finding("impossible", message, f"Likelier: it is counted {min(fits)}.", values)
        return
    likelier = "Likelier: the shapes, from which the FLOPs follow."
    if claims.params is not None:
        likelier += (
            f" The log states {units.exact(stated / claims.params, 3)} for each parameter; 6 and attention are usual."
        )
    yield Finding("impossible", message, likelier, values)


def _slack(claims: Claims) -> float:
    return 0.0 if claims.is_exact else CONVENTIONS


def _causal(claims: Claims, model: ModelConfig) -> Iterator[Finding]:
    """FLOPs with the mask counted, against the shapes."""
    causal, expected = claims.flops_causal, flops_per_token(model).causal
    if causal is not None and differ(causal, expected, TOLERANCE + rounding(causal)):
        message = (
            f"FLOPs per token with the mask counted are {units.flop(causal)}, but the shapes give "
            f"{units.flop(expected)}: {comparison(causal, expected)}."
        )
        yield Finding("impossible", message, "", {"flops_per_token_causal": causal, "from_shapes": expected})


def _by_parameters(claims: Claims) -> Iterator[Finding]:
    stated, params = claims.flops or 0.0, claims.params or 0.0
    each = stated / params
    values = {"flops_per_token": stated, "params_total": params}
    ratio = f"{units.flop(stated)} per token are {units.exact(each, 3)} for each of {params:,.0f} parameters"
    usual = "training takes 6, and attention"
    if each > MOST_PER_PARAMETER:
        likelier = "Likelier: the FLOPs are not those of one token."
        yield Finding("impossible", f"{ratio}; {usual}.", likelier, values)
    elif each < LEAST_PER_PARAMETER:
        likelier = "Likelier: only the forward pass is counted, or only the experts that a token takes."
        yield Finding("suspicious", f"{ratio}; {usual}.", likelier, values)


def _shape_text(claims: Claims) -> str:
    """The shapes as far as the log has them: `30L-16H/8KV-2048D-7168ff swiglu`."""
    shape = claims.shape
    heads, kv_heads, width = shape["n_heads"], shape.get("n_kv_heads"), shape.get("d_ff")
    grouped = f"/{kv_heads}KV" if kv_heads not in (None, heads) else ""
    inner = f"-{width}ff" if width is not None else ""
    return f"{shape['n_layers']}L-{heads}H{grouped}-{shape['d_model']}D{inner} {shape.get('ffn', '')}".rstrip()
