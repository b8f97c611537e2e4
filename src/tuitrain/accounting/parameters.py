"""How many parameters a model has, and how many of them multiply a token."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tuitrain.config import ModelConfig


@dataclass(frozen=True)
class ParameterCounts:
    """Parameters of a model, by what they are for.

    matmul: the weights of every Linear that multiplies a token, the output head included once, tied or not; this
    is the N of the FLOP formula. non_embedding: total without the token table and the learned positions (of tied
    embeddings the one shared table).
    """

    total: int
    embedding: int
    positions: int
    attention: int
    feedforward: int
    norms: int
    head: int
    matmul: int

    @property
    def non_embedding(self) -> int:
        """Total without token embedding and learned positions."""
        return self.total - self.embedding - self.positions


def vocabulary(model: ModelConfig) -> int:
    """The embedding table's rows; raises ValueError while the tokenizer has not decided them."""
    if model.vocab_size is None:
        raise ValueError("model.vocab_size is not known before the data is tokenized; set it to plan with it.")
    return model.vocab_size


def count_parameters(model: ModelConfig) -> ParameterCounts:
    """Count the parameters of a model from its shape alone. Raises ValueError if vocab_size is unset."""
    d, bias = model.d_model, int(model.bias)
    q_width, kv_width = model.n_heads * model.head_dim, model.n_kv_heads * model.head_dim
    attention_matmul = d * (q_width + 2 * kv_width) + q_width * d
    attention_bias = bias * (q_width + 2 * kv_width + d)
    up_matrices = 2 if model.gated else 1
    feedforward_matmul = (up_matrices + 1) * d * model.d_ff
    feedforward_bias = bias * (up_matrices * model.d_ff + d)
    norm_width = d * (2 if model.norm_bias else 1)
    n_norms = 2 * model.n_layers + (1 if model.norm_position == "pre" else 0)

    embedding = vocabulary(model) * d
    positions = model.seq_len * d if model.position == "learned" else 0
    attention = model.n_layers * (attention_matmul + attention_bias)
    feedforward = model.n_layers * (feedforward_matmul + feedforward_bias)
    norms = n_norms * norm_width + (model.n_layers * 2 * model.head_dim if model.qk_norm else 0)
    head = 0 if model.tied_embeddings else embedding
    return ParameterCounts(
        total=embedding + positions + attention + feedforward + norms + head,
        embedding=embedding,
        positions=positions,
        attention=attention,
        feedforward=feedforward,
        norms=norms,
        head=head,
        matmul=model.n_layers * (attention_matmul + feedforward_matmul) + embedding,
    )
