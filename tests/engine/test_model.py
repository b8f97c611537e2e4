"""The model zoo: causality, attention variants, norm positions, initial values, names."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from model_shapes import random_tokens, small_config, small_model
from torch.nn import functional as F

from tuitrain.config import ConfigError, load_config
from tuitrain_engine.model import Transformer, initialise
from tuitrain_engine.model.attention import Context
from tuitrain_engine.model.gelu import gelu
from tuitrain_engine.model.position import Rotary, rotate

NORMS = [("layernorm", True), ("layernorm", False), ("rmsnorm", False)]
COMBINATIONS = list(
    itertools.product(["learned", "rope", "none"], NORMS, ["pre", "post"], [None, 1, 5], ["gelu", "swiglu"])
)


@pytest.mark.parametrize("position, norm, norm_position, window, ffn", COMBINATIONS)
def test_a_token_never_changes_earlier_outputs(
    position: str, norm: tuple[str, bool], norm_position: str, window: int | None, ffn: str
) -> None:
    model = small_model(
        position=position, norm=norm[0], norm_bias=norm[1], norm_position=norm_position, window=window, ffn=ffn
    )
    tokens, at = random_tokens(2, 24), 11
    changed = tokens.clone()
    changed[:, at] = (changed[:, at] + 1) % 61
    with torch.no_grad():
        before, after = model(tokens), model(changed)
    torch.testing.assert_close(before[:, :at], after[:, :at], rtol=0, atol=0)
    assert not torch.allclose(before[:, at], after[:, at])
    if window is None:
        assert not torch.allclose(before[:, -1], after[:, -1])


@pytest.mark.parametrize("window", [1, 3, 5])
def test_a_window_has_the_configured_length(window: int) -> None:
    """One block sees `window` positions, itself included."""
    model = small_model(n_layers=1, window=window, position="rope")
    tokens, at = random_tokens(1, 24), 4
    changed = tokens.clone()
    changed[:, at] = (changed[:, at] + 1) % 61
    with torch.no_grad():
        moved = (model(tokens) - model(changed)).abs().amax(dim=(0, 2)) > 1e-6
    assert moved.nonzero().flatten().tolist() == list(range(at, at + window))


def test_a_window_as_long_as_the_sequence_is_plain_attention() -> None:
    tokens = random_tokens(2, 24)
    with torch.no_grad():
        torch.testing.assert_close(small_model(window=24)(tokens), small_model()(tokens), rtol=0, atol=0)


@pytest.mark.parametrize("qk_norm", [False, True])
def test_grouped_queries_equal_repeated_heads(qk_norm: bool) -> None:
    shape = {"head_dim": 8, "position": "rope", "norm": "rmsnorm", "bias": True, "qk_norm": qk_norm}
    grouped, full = small_model(n_kv_heads=2, **shape), small_model(n_kv_heads=4, **shape)
    state = grouped.state_dict()
    for name in [name for name in state if "qkv" in name]:
        queries, keys, values = state[name].split([32, 16, 16])
        repeated = [part.unflatten(0, (2, 8)).repeat_interleave(2, dim=0).flatten(0, 1) for part in (keys, values)]
        state[name] = torch.cat((queries, *repeated))
    full.load_state_dict(state)
    tokens = random_tokens(2, 24)
    with torch.no_grad():
        torch.testing.assert_close(grouped(tokens), full(tokens), rtol=1e-4, atol=1e-4)


def test_an_explicit_head_dim_widens_the_projections() -> None:
    model = small_model(head_dim=16, n_kv_heads=2)
    assert model.blocks[0].attention.qkv.weight.shape == ((4 + 2 * 2) * 16, 32)
    assert model.blocks[0].attention.output.weight.shape == (32, 4 * 16)
    assert model(random_tokens(1, 5)).shape == (1, 5, 61)


def test_qk_norm_makes_attention_independent_of_the_scale_of_queries_and_keys() -> None:
    tokens = random_tokens(1, 24)
    for qk_norm in (True, False):
        model = small_model(qk_norm=qk_norm, position="none", norm_eps=1e-9)
        with torch.no_grad():
            before = model(tokens)
            for block in model.blocks:
                block.attention.qkv.weight[:64] *= 3
            assert torch.allclose(before, model(tokens), atol=1e-3) is qk_norm


def test_rotation_follows_hugging_face() -> None:
    """Against the published rule, channel i paired with i + head_dim/2, in complex numbers."""
    config = small_config(position="rope", rope_theta=500.0)
    heads = torch.randn(1, 24, 4, 8, dtype=torch.float64)
    angles = torch.outer(torch.arange(24.0), 500.0 ** (-torch.arange(0, 8, 2) / 8))
    turned = torch.complex(heads[..., :4], heads[..., 4:]) * torch.polar(torch.ones(24, 4), angles).unsqueeze(1)
    expected = torch.cat((turned.real, turned.imag), dim=-1)
    torch.testing.assert_close(rotate(heads, Rotary(config)(0, 24)), expected, rtol=1e-5, atol=1e-5)


def test_rotated_scores_depend_on_distance_only() -> None:
    config = small_config(position="rope")
    q, k = torch.randn(2, 1, 1, 1, 8).unbind()
    rotary = Rotary(config)

    def score(i: int, j: int) -> float:
        return float((rotate(q, rotary(i, 1)) * rotate(k, rotary(j, 1))).sum())

    assert score(3, 1) == pytest.approx(score(20, 18), abs=1e-5)
    assert score(3, 1) != pytest.approx(score(3, 2), abs=1e-3)


def test_without_positions_the_order_of_the_past_does_not_matter() -> None:
    tokens = random_tokens(1, 8)
    shuffled = tokens[:, [3, 0, 2, 1, 6, 5, 4, 7]]
    for position, same in (("none", True), ("learned", False), ("rope", False)):
        model = small_model(position=position, n_layers=1)
        with torch.no_grad():
            assert torch.allclose(model(tokens)[:, -1], model(shuffled)[:, -1], atol=1e-4) is same


def test_post_norm_ends_each_block_with_a_norm_and_has_no_final_one() -> None:
    pre, post = (small_model(norm_position=p, norm="rmsnorm", bias=False) for p in ("pre", "post"))
    assert pre.head.norm is not None and post.head.norm is None
    sizes = {}
    for name, model in (("pre", pre), ("post", post)):
        model.blocks[-1].register_forward_hook(
            lambda _module, _inputs, output, name=name: sizes.update({name: output.square().mean(-1)})
        )
        model(random_tokens(2, 24))
    torch.testing.assert_close(sizes["post"], torch.ones(2, 24), rtol=1e-3, atol=1e-3)
    assert (sizes["pre"] - 1).abs().max() > 0.1


def tanh_gelu(z: torch.Tensor) -> torch.Tensor:
    return z / 2 * (1 + torch.tanh(math.sqrt(2 / math.pi) * (z + 0.044715 * z**3)))


@pytest.mark.parametrize("compiled", [False, True])
def test_gelu_and_its_gradient_equal_those_of_torch(compiled: bool) -> None:
    mine = torch.compile(gelu, backend="aot_eager", dynamic=False) if compiled else gelu
    u = torch.cat((torch.linspace(-60, 60, 20_001), torch.tensor([0.0, 1e4, -1e4]))).requires_grad_()
    for ours, theirs in (
        (mine(u), F.gelu(u, approximate="tanh")),
        (torch.autograd.grad(f(u).sum(), u)[0] for f in (mine, lambda z: F.gelu(z, approximate="tanh"))),
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=3e-6)
    with torch.no_grad():
        torch.testing.assert_close(gelu(u), F.gelu(u, approximate="tanh"), rtol=0, atol=0)


def test_feedforward_units_compute_their_formula() -> None:
    x = torch.randn(2, 3, 32)
    for ffn in ("gelu", "swiglu", "geglu", "relu2"):
        unit = small_model(ffn=ffn, bias=True).blocks[0].feedforward
        up = unit.up(x)
        if ffn == "gelu":
            inner = tanh_gelu(up)
        elif ffn == "relu2":
            inner = up.clamp(min=0) ** 2
        elif ffn == "swiglu":
            inner = unit.gate(x) * torch.sigmoid(unit.gate(x)) * up
        else:
            inner = tanh_gelu(unit.gate(x)) * up
        torch.testing.assert_close(unit(x), unit.down(inner), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("ffn", ["gelu", "geglu"])
def test_a_compiled_model_has_the_gradients_of_an_eager_one(ffn: str) -> None:
    """Also on torch 2.11, which compiles some custom autograd functions into functions without a gradient."""
    tokens, targets, gradients = random_tokens(2, 24), random_tokens(2, 24, seed=1), []
    for compiled in (False, True):
        model = small_model(ffn=ffn, qk_norm=True)
        if compiled:
            model.compile(backend="aot_eager", dynamic=False)
        model(tokens, targets).loss_sum.backward()
        gradients.append([p.grad for p in model.parameters()])
    torch.testing.assert_close(*gradients, rtol=1e-3, atol=1e-3)


def test_gpt2_block_equals_torch_encoder_layer() -> None:
    """A pre-norm LayerNorm block with biases is torch's own TransformerEncoderLayer with a causal mask."""
    block = small_model(bias=True).blocks[0]
    theirs = torch.nn.TransformerEncoderLayer(
        32, 4, 48, 0.0, lambda z: F.gelu(z, approximate="tanh"), norm_first=True, batch_first=True
    ).eval()
    ours = block.state_dict()
    names = {
        "self_attn.in_proj": "attention.qkv",
        "self_attn.out_proj": "attention.output",
        "linear1": "feedforward.up",
        "linear2": "feedforward.down",
        "norm1": "attention_norm",
        "norm2": "feedforward_norm",
    }
    theirs.load_state_dict(
        {
            f"{their}{'_' if their.endswith('in_proj') else '.'}{kind}": ours[f"{our}.{kind}"]
            for their, our in names.items()
            for kind in ("weight", "bias")
        }
    )
    x = torch.randn(2, 24, 32)
    mask = torch.nn.Transformer.generate_square_subsequent_mask(24)
    with torch.no_grad():
        torch.testing.assert_close(block(x, Context(None, None)), theirs(x, src_mask=mask), rtol=1e-4, atol=1e-4)


def test_initial_values_have_the_stated_spread() -> None:
    model = Transformer(small_config(d_model=256, d_ff=512, n_layers=4, bias=True, norm="rmsnorm"))
    initialise(model, 3)
    for name, parameter in model.named_parameters():
        if parameter.dim() == 1:
            assert torch.all(parameter == (0 if name.endswith("bias") else 1)), name
            continue
        residual = name.endswith(("attention.output.weight", "feedforward.down.weight"))
        expected = 0.02 / math.sqrt(8) if residual else 0.02
        assert parameter.std().item() == pytest.approx(expected, rel=0.05), name
        assert abs(parameter.mean().item()) < expected / 10, name


def test_initial_values_depend_on_the_seed_alone() -> None:
    config = small_config(position="rope", qk_norm=True, bias=True)

    def values(seed: int, device_state: int) -> dict[str, torch.Tensor]:
        torch.manual_seed(device_state)
        with torch.device("meta"):
            model = Transformer(config)
        model.to_empty(device="cpu")
        initialise(model, seed)
        return {name: tensor.clone() for name, tensor in (*model.named_parameters(), *model.named_buffers())}

    one, again, other = values(1, 0), values(1, 99), values(2, 0)
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert not torch.equal(one["embedding.token.weight"], other["embedding.token.weight"])
    assert not torch.equal(one["blocks.0.feedforward.up.weight"], one["blocks.1.feedforward.up.weight"])
    # The same run on a CPU starts with the same values in later versions.
    start = torch.tensor([0.0199, 0.0451, -0.0311])
    torch.testing.assert_close(one["embedding.token.weight"][0, :3], start, rtol=0, atol=1e-4)


def test_values_that_a_checkpoint_replaces_are_not_drawn() -> None:
    model = Transformer(small_config(position="rope", bias=True))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(7)
    initialise(model, None)
    for name, parameter in model.named_parameters():
        assert torch.all(parameter == (7 if parameter.dim() > 1 else 0 if name.endswith("bias") else 1)), name


def test_building_on_the_meta_device_gives_the_same_model() -> None:
    config = small_config(position="rope", tied_embeddings=True)
    direct = Transformer(config)
    with torch.device("meta"):
        late = Transformer(config)
    late.to_empty(device="cpu")
    for buffer in late.buffers():
        buffer.fill_(math.nan)
    for model in (direct, late):
        initialise(model, 5)
    tokens = random_tokens(2, 24)
    with torch.no_grad():
        torch.testing.assert_close(direct(tokens), late(tokens), rtol=0, atol=0)


def test_tied_weights_stay_one_tensor_on_every_device() -> None:
    with torch.device("meta"):
        model = Transformer(small_config(tied_embeddings=True))
    for step in (lambda: model, lambda: model.to_empty(device="cpu"), lambda: model.to(torch.float64)):
        step()
        assert model.head.weight is model.embedding.token.weight
    untied = small_model(tied_embeddings=False)
    assert untied.head.weight.data_ptr() != untied.embedding.token.weight.data_ptr()


def test_parameter_names_are_the_checkpoint_format() -> None:
    with torch.device("meta"):
        model = Transformer(load_config("qwen3-tiny").model)
    block = [name.removeprefix("blocks.3.") for name, _ in model.named_parameters() if "blocks.3." in name]
    assert block == [
        "attention_norm.weight",
        "attention.qkv.weight",
        "attention.output.weight",
        "attention.q_norm.weight",
        "attention.k_norm.weight",
        "feedforward_norm.weight",
        "feedforward.gate.weight",
        "feedforward.up.weight",
        "feedforward.down.weight",
    ]
    outside = [name for name in model.state_dict() if not name.startswith("blocks.")]
    assert outside == ["embedding.token.weight", "head.weight", "head.norm.weight"]


def test_dropout_acts_in_training_only() -> None:
    model = small_model(dropout=0.5)
    tokens = random_tokens(2, 24)
    with torch.no_grad():
        torch.testing.assert_close(model(tokens), model(tokens), rtol=0, atol=0)
        model.train()
        assert not torch.allclose(model(tokens), model(tokens))


def test_a_model_needs_a_vocabulary_and_a_context_that_holds_the_tokens() -> None:
    with pytest.raises(ConfigError, match="vocab_size"):
        Transformer(small_config(vocab_size=None))
    with pytest.raises(ValueError, match="seq_len = 24"):
        small_model()(random_tokens(1, 25))


@pytest.mark.parametrize("family", ["gpt2", "llama2", "llama3", "qwen3", "hybrid"])
def test_bfloat16_autocast_stays_close_and_returns_a_float32_loss(family: str) -> None:
    config = load_config(f"{family}-tiny").model
    model = Transformer(config)
    initialise(model, 0)
    tokens = random_tokens(2, config.seq_len + 1, vocab_size=256)
    exact = model(tokens[:, :-1], tokens[:, 1:])
    with torch.autocast("cpu", torch.bfloat16):
        mixed = model(tokens[:, :-1], tokens[:, 1:])
    assert mixed.loss_sum.dtype == torch.float32
    assert mixed.loss_sum.item() == pytest.approx(exact.loss_sum.item(), rel=2e-3)
    mixed.loss_sum.backward()
    assert all(p.grad is not None and p.grad.dtype == torch.float32 for p in model.parameters())


def test_every_parameter_of_every_family_gets_a_gradient() -> None:
    for family in ("gpt2", "llama2", "llama3", "qwen3", "hybrid"):
        config = load_config(f"{family}-tiny", ["model.seq_len=16"]).model
        model = Transformer(config)
        initialise(model, 0)
        tokens = random_tokens(4, 16, vocab_size=256)
        model(tokens, tokens.roll(-1, 1)).loss_sum.backward()
        idle = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
        assert not idle, (family, idle)
