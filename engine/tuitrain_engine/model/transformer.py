"""The one model class: a decoder-only transformer assembled from a config."""

from __future__ import annotations

from collections.abc import Callable
from typing import overload

from torch import Tensor, nn
from torch.nn.attention.flex_attention import BlockMask

from tuitrain.config import ConfigError, ModelConfig
from tuitrain.config.requirements import check_attention
from tuitrain_engine.loss_output import LossOutput
from tuitrain_engine.model.attention import Context
from tuitrain_engine.model.block import Block
from tuitrain_engine.model.cache import Cache
from tuitrain_engine.model.head import Head
from tuitrain_engine.model.masks import block_mask, dense_mask, documents
from tuitrain_engine.model.position import Embedding, Rotary


class Transformer(nn.Module):
    """A causal language model of any shape that ModelConfig describes.

    Built without values (`torch.device("meta")` works): `initialise` fills parameters and tables. The names of the
    parameters are the checkpoint format. document_end: the id that ends a document, for model.document_mask. Raises
    ConfigError when vocab_size is unset or the config cannot be run.
    """

    def __init__(self, config: ModelConfig, document_end: int | None = None) -> None:
        super().__init__()
        if config.vocab_size is None:
            raise ConfigError("model.vocab_size is not set: it comes from the tokenizer, or set it.")
        check_attention(config)
        if config.document_mask and document_end is None:
            raise ConfigError(
                "model.document_mask needs a token that ends documents, which data.tokenizer lacks: choose another "
                "tokenizer, or set model.document_mask=false."
            )
        self.config = config
        self.document_end = document_end if config.document_mask else None
        self.embedding = Embedding(config)
        self.rotary = Rotary(config) if config.position == "rope" else None
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.n_layers))
        self.head = Head(config)
        self._tie()

    def _tie(self) -> None:
        if self.config.tied_embeddings:
            self.head.weight = self.embedding.token.weight

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Transformer:
        # Leaving the meta device makes a new parameter of each entry and would part the tied ones.
        super()._apply(fn, recurse)
        self._tie()
        return self

    def new_cache(self, capacity: int) -> Cache:
        """An empty cache for generation, for up to `capacity` positions."""
        return Cache(self.config.n_layers, capacity)

    @overload
    def forward(self, tokens: Tensor, targets: None = None, *, cache: Cache | None = None) -> Tensor: ...
    @overload
    def forward(self, tokens: Tensor, targets: Tensor, with_accuracy: bool = False) -> LossOutput: ...

    def forward(
        self,
        tokens: Tensor,
        targets: Tensor | None = None,
        with_accuracy: bool = False,
        *,
        cache: Cache | None = None,
    ) -> Tensor | LossOutput:
        """Token ids (B, T) -> logits (B, T, vocab_size); with targets (B, T) -> the summed loss over them.

        Targets are the next tokens, -100 where there is none to predict. With a cache the tokens follow those it holds.
        Raises ValueError past seq_len positions.
        """
        start, length = (cache.length if cache else 0), tokens.shape[1]
        if start + length > self.config.seq_len:
            raise ValueError(f"{start + length} positions do not fit model.seq_len = {self.config.seq_len}")
        context = Context(
            rotation=self.rotary(start, length) if self.rotary is not None else None,
            mask=self._mask(tokens, start, cache),
        )
        x = self.embedding(tokens, start)
        for index, block in enumerate(self.blocks):
            x = block(x, context, cache.layers[index] if cache else None)
        return self.head(x, targets, with_accuracy)

    def _mask(self, tokens: Tensor, start: int, cache: Cache | None) -> Tensor | BlockMask | None:
        """The attention mask of tokens (B, T) at positions start …; made once for all layers."""
        length, window, device = tokens.shape[1], self.config.window, tokens.device
        belongs = None
        if self.document_end is not None:
            belongs = documents(tokens if cache is None else cache.append(tokens), self.document_end)
        if self.config.attention_backend == "flex" and cache is None:
            return block_mask(length, window, device, belongs)
        return dense_mask(length, start, window, device, belongs)
