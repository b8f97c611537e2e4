"""Position encodings: a learned table added to the embedding, or rotary embeddings."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from tuitrain.config import ModelConfig, RopeScaling


class Rotation(NamedTuple):
    """The rotation of each position: cos and signed sin, both (T, 1, head_dim), float32."""

    cos: Tensor
    sin: Tensor


class Rotary(nn.Module):
    """Tables of rotary position embeddings (Su et al. 2021), one for the whole model.

    Channel i is paired with channel i + head_dim/2, as in Hugging Face's models (and not with i + 1, as in Meta's), so
    that exported weights need no permutation. Angles are float32 whatever the arithmetic: bfloat16 cannot tell
    position 257 from 258. The tables follow from the config and are not part of a checkpoint.
    """

    cos: Tensor
    sin: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.head_dim, self.seq_len, self.theta = config.head_dim, config.seq_len, config.rope_theta
        self.scaling = config.rope_scaling
        cos, sin = self._tables(None)
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)

    def _tables(self, device: torch.device | None) -> tuple[Tensor, Tensor]:
        half = torch.arange(0, self.head_dim, 2, dtype=torch.float32, device=device)
        frequencies = self.theta ** (-half / self.head_dim)
        if self.scaling is not None:
            frequencies = scale_frequencies(frequencies, self.scaling)
        angles = torch.outer(torch.arange(self.seq_len, dtype=torch.float32, device=device), frequencies)
        # The sign of the rotated half is folded into the table: rotating is then two products and a roll.
        cos = torch.cat((angles.cos(), angles.cos()), dim=-1)
        sin = torch.cat((-angles.sin(), angles.sin()), dim=-1)
        return cos.unsqueeze(1), sin.unsqueeze(1)

    def fill(self) -> None:
        """Compute the tables again in place: after `to_empty` their values are undefined."""
        cos, sin = self._tables(torch.device("cpu"))
        self.cos.copy_(cos)
        self.sin.copy_(sin)

    def forward(self, start: int, length: int) -> Rotation:
        """The rotations of positions start … start + length - 1."""
        return Rotation(self.cos[start : start + length], self.sin[start : start + length])


def scale_frequencies(frequencies: Tensor, scaling: RopeScaling) -> Tensor:
    """Llama 3.1's scaling of rotary frequencies, radians a position, of any shape.

    What turns often within the original context stays, what does not get round there is divided by `factor`, and
    between the two the share that stays grows linearly with the number of turns.
    """
    turns = scaling.original_seq_len * frequencies / (2 * math.pi)
    low, high = scaling.low_freq_factor, scaling.high_freq_factor
    kept = ((turns - low) / (high - low)).clamp(0, 1)
    return frequencies * (kept + (1 - kept) / scaling.factor)


def rotate(heads: Tensor, rotation: Rotation) -> Tensor:
    """Rotate query or key heads (B, T, H, head_dim) by their positions; float32 or wider comes out."""
    half = heads.shape[-1] // 2
    return torch.addcmul(heads * rotation.cos, heads.roll(half, dims=-1), rotation.sin)


class Embedding(nn.Module):
    """Token embedding, with a learned position table added if configured."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        assert config.vocab_size is not None
        self.token = nn.Embedding(config.vocab_size, config.d_model)
        learned = config.position == "learned"
        self.position = nn.Embedding(config.seq_len, config.d_model) if learned else None
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, tokens: Tensor, start: int = 0) -> Tensor:
        """(B, T) token ids at positions start … start + T - 1 -> (B, T, d_model)."""
        x = self.token(tokens)
        if self.position is not None:
            x = x + self.position.weight[start : start + tokens.shape[1]]
        return self.dropout(x)
