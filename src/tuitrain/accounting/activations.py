"""Memory that autograd keeps for the backward pass, in bytes per token of a micro-batch.

It counts tensors as Korthikanti et al. 2022, section 4, does, for a fused attention that never holds the T × T scores
(the math backend does); a test compares it with the bytes that a forward pass of each tiny preset really keeps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tuitrain.config import ModelConfig

FLOAT = 4
TOKEN_ID = 8


@dataclass(frozen=True)
class ActivationBytes:
    """Bytes per token that the parts of a model keep.

    element: bytes of the arithmetic (4 or 2). fused: whether rmsnorm and dropout have kernels of their own: on CUDA
    they have, on the CPU not.
    """

    model: ModelConfig
    element: int
    fused: bool

    def blocks(self, checkpointing: str) -> tuple[int, int]:
        """What all blocks keep until the backward pass, and what the last one, computed again, adds to that."""
        block = self.block
        kept = {"none": block, "selective": min(self.selective, block), "full": FLOAT * self.model.d_model}
        return self.model.n_layers * kept[checkpointing], block - kept[checkpointing]

    @property
    def block(self) -> int:
        """One block."""
        return 2 * self.norm + self.attention + self.feedforward

    @property
    def norm(self) -> int:
        """One norm of the residual stream and the product after it.

        The norm keeps its float32 input and one (rmsnorm) or two (layernorm) statistics; the product keeps the norm's
        output in the arithmetic's dtype. An rmsnorm without a fused kernel also keeps the normalised input.
        """
        d, rms = self.model.d_model, self.model.norm == "rmsnorm"
        return FLOAT * d + FLOAT * (1 if rms else 2) + self.element * d + (FLOAT * d if rms and not self.fused else 0)

    @property
    def attention(self) -> int:
        """One attention, without the norm before it.

        The projected queries, keys and values stay as one tensor, since the values are a view of it. Rotated or normed
        queries and keys are new tensors. QK-norm keeps a float32 input (its own copy under autocast), a statistic for
        each head and, without a fused kernel, the normalised heads. The attended values are the output product's input;
        the kernel adds one float32 log-sum-exp for each head; the math backend keeps the scores instead.
        """
        model, (q, k) = self.model, self._query_and_key_widths
        held = self.element * (q + 2 * k) + self.element * q + (self._scores or FLOAT * model.n_heads)
        if model.position == "rope" or model.qk_norm:
            held += self.element * (q + k)
        if model.qk_norm:
            held += FLOAT * (model.n_heads + model.n_kv_heads)
            held += FLOAT * (q + k) * ((self.element != FLOAT) + (not self.fused))
        return held + self._dropout(self.element)

    @property
    def feedforward(self) -> int:
        """One feed-forward unit, without the norm before it.

        Two matrices: one tensor of the non-linearity (its input or its derivative) and the last product's input. A gate
        adds its own projection and its activation.
        """
        return self.element * (4 if self.model.gated else 2) * self.model.d_ff + self._dropout(self.element)

    @property
    def selective(self) -> int:
        """A block with activation_checkpointing = selective: its input and the outputs that are expensive to compute.

        These are the outputs of its matrix products and of the attention kernel with its log-sum-exp.
        """
        model, (q, k) = self.model, self._query_and_key_widths
        products = (q + 2 * k) + model.d_model + (2 if model.gated else 1) * model.d_ff + model.d_model
        return FLOAT * model.d_model + self.element * (products + q) + FLOAT * model.n_heads

    @property
    def outside_blocks(self) -> int:
        """The final norm, the ids, and the embedding's dropout."""
        # Without a final norm the first block multiplies the embedding as it is.
        held = self.norm if self.model.norm_position == "pre" else self.element * self.model.d_model
        # Ids serve the embedding's backward pass, targets the loss's; embedding dropout keeps a mask.
        return held + 2 * TOKEN_ID + self._dropout(FLOAT)

    @property
    def _query_and_key_widths(self) -> tuple[int, int]:
        return self.model.n_heads * self.model.head_dim, self.model.n_kv_heads * self.model.head_dim

    @property
    def _scores(self) -> int:
        """The probabilities of all positions that the math backend keeps; 0 for a fused attention kernel.

        On the CPU dropout needs it too, and the scores are float32. Dropout keeps its mask and its output besides.
        """
        model = self.model
        if not (model.attention_backend == "math" or (model.dropout and not self.fused)):
            return 0
        score = self.element if self.fused else FLOAT
        dropped = score + (1 if self.fused else score) if model.dropout else 0
        return model.n_heads * model.seq_len * (score + dropped)

    def _dropout(self, element: int) -> int:
        """The mask of one dropout of the residual stream: a byte an element, or without a kernel a factor."""
        return (1 if self.fused else element) * self.model.d_model if self.model.dropout else 0
