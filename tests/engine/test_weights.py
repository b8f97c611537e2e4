"""Import and export of weights: equality with transformers, split and sharded files, complete runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import sentencepiece
import torch
from engine_runs import make_run, of_type, read_log, run_command, run_engine
from safetensors.torch import load_file
from tests.support import obey_permissions
from torch import distributed as dist
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor
from torch.testing._internal.distributed.fake_pg import FakeStore
from weight_models import GPT2, LLAMA, MODELS, assert_same, export, load, logits_of, make_config, make_model, theirs

from tuitrain import events
from tuitrain.cli.json_output import check_output
from tuitrain.config import ModelConfig, validate
from tuitrain_engine import weights
from tuitrain_engine.data import Tokenizer
from tuitrain_engine.data.files import Piece
from tuitrain_engine.data.tokenizers import ByteTokenizer, CharTokenizer, HuggingFaceTokenizer, IdTokenizer
from tuitrain_engine.data.vocabulary import given_tokenizer, learn_tokenizer
from tuitrain_engine.model import Transformer


@pytest.mark.parametrize("name", MODELS)
def test_exported_logits_equal_those_of_transformers(tmp_path: Path, name: str) -> None:
    config = make_config(**MODELS[name])
    model = make_model(config)
    export(model, tmp_path / "out")
    expected = logits_of(theirs(tmp_path / "out"), config)
    assert expected.std() > 0.5
    assert_same(logits_of(model, config), expected)


@pytest.mark.parametrize("name", MODELS)
def test_logits_of_imported_weights_equal_those_of_transformers(tmp_path: Path, name: str) -> None:
    import transformers

    config = make_config(**MODELS[name])
    export(make_model(config), tmp_path / "shape")
    torch.manual_seed(23)
    original = transformers.AutoModelForCausalLM.from_config(
        transformers.AutoConfig.from_pretrained(tmp_path / "shape")
    ).eval()
    with torch.no_grad():
        for parameter in original.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    original.save_pretrained(tmp_path / "saved")

    described = weights.config_from_hf(tmp_path / "saved")
    assert all(getattr(make_config(**described), key) == getattr(config, key) for key in ModelConfig.model_fields)
    expected = logits_of(original, config)
    assert expected.std() > 0.5
    model = load(config, tmp_path / "saved")
    assert_same(logits_of(model, config), expected)


def test_rope_scaling_equals_that_of_llama3(tmp_path: Path) -> None:
    scaled = make_config(**MODELS["llama-gqa-llama3"])
    plain = scaled.model_copy(update={"rope_scaling": None})
    model = make_model(scaled)
    assert (logits_of(model, scaled) - logits_of(make_model(plain), plain)).abs().max() > 0.1
    export(model, tmp_path / "out")
    rotary = theirs(tmp_path / "out").model.rotary_emb
    angles = torch.outer(torch.arange(scaled.seq_len).float(), rotary.inv_freq)
    torch.testing.assert_close(model.rotary.cos[:, 0, : angles.shape[1]], angles.cos())


@pytest.mark.parametrize("keys", [{"bias": False}, {"norm_bias": False}, {"bias": False, "norm_bias": False}])
def test_a_gpt2_without_biases_is_exported_with_zeros_and_imported_without(
    tmp_path: Path, keys: dict[str, bool]
) -> None:
    config = make_config(**{**GPT2, **keys})
    model = make_model(config)
    export(model, tmp_path / "out")
    assert_same(logits_of(model, config), logits_of(theirs(tmp_path / "out"), config))
    assert_same(logits_of(load(config, tmp_path / "out"), config), logits_of(model, config))


@pytest.mark.parametrize("name", ["gpt2", "llama", "qwen3-tied"])
def test_a_model_split_into_three_files_is_loaded_as_one(tmp_path: Path, name: str) -> None:
    import transformers

    config = make_config(**MODELS[name])
    model = make_model(config)
    paths = export(model, tmp_path / "out", split=True)
    assert {path.name for path in paths if path.suffix == ".safetensors"} == {
        "body.safetensors", "embeddings.safetensors", "head.safetensors"
    }  # fmt: skip
    assert all(path.is_file() for path in paths)
    head = load_file(tmp_path / "out" / "head.safetensors")
    assert list(head) == ["lm_head.weight"] and torch.equal(head["lm_head.weight"], model.head.weight)
    embeddings = load_file(tmp_path / "out" / "embeddings.safetensors")
    assert any(torch.equal(tensor, model.embedding.token.weight) for tensor in embeddings.values())
    assert len(embeddings) == (2 if name == "gpt2" else 1)
    read = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "out").eval()
    assert_same(logits_of(model, config), logits_of(read, config))
    assert_same(logits_of(load(config, tmp_path / "out"), config), logits_of(model, config))


def test_bfloat16_halves_the_size_and_keeps_values_within_rounding(tmp_path: Path) -> None:
    model = make_model(make_config(**LLAMA))
    whole, half = (export(model, tmp_path / dtype, dtype=dtype)[0] for dtype in ("float32", "bfloat16"))
    left, right = load_file(whole), load_file(half)
    assert left.keys() == right.keys() and all(tensor.dtype == torch.bfloat16 for tensor in right.values())
    assert all(torch.equal(left[name].bfloat16(), right[name]) for name in left)
    assert theirs(tmp_path / "bfloat16").dtype == torch.bfloat16


def test_a_tokenizer_json_is_exported_too(tmp_path: Path) -> None:
    import transformers
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = {word: number for number, word in enumerate(["<|endoftext|>", "def", "return", "x"])}
    original = Tokenizer(models.WordLevel(words, unk_token="x"))
    original.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = HuggingFaceTokenizer(original.to_str(), ("<|endoftext|>",), "tokenizer.json")
    model = make_model(make_config(**LLAMA))
    config = validate({"model": model.config.model_dump(exclude_none=True), "train": {"max_steps": 1}})
    paths = weights.export_weights(model, config, tokenizer, tmp_path / "out", dtype="float32", split=False)
    assert tmp_path / "out" / "tokenizer.json" in paths
    assert len({path.stat().st_mode for path in paths}) == 1
    read = transformers.AutoTokenizer.from_pretrained(tmp_path / "out")
    assert read("def x return")["input_ids"] == tokenizer.encode("def x return").tolist()
    assert read.eos_token == "<|endoftext|>" and read.eos_token_id == 0
    assert theirs(tmp_path / "out").generation_config.eos_token_id == 0


class Corpus:
    """Lines that are hard for a tokenizer."""

    name = identity = fingerprint = "corpus"
    size = None
    text = "def f(x):\n    return x + 1\t  # naïve größe 三 😀 </s>\r\n"

    def pieces(self) -> Iterator[Piece]:
        for number in range(300):
            yield Piece(f"{self.text} word_{number} {number}\n", True, 70)


@pytest.mark.parametrize("kind", ["byte", "char", "char with others", "sentencepiece"])
@pytest.mark.parametrize("name", ["gpt2", "llama-gqa-llama3"])
def test_auto_tokenizer_gives_the_ids_of_the_run(tmp_path: Path, name: str, kind: str) -> None:
    import transformers

    corpus = Corpus()
    tokenizer: Tokenizer = ByteTokenizer()
    if kind.startswith("char"):
        tokenizer = CharTokenizer.from_corpus(corpus.text + "word_0123456789", True, kind == "char with others")
    elif kind == "sentencepiece":
        tokenizer = learn_tokenizer("sentencepiece:330", corpus, tmp_path / "kept", None)
    config = make_config(**MODELS[name])
    whole = validate({"model": config.model_dump(exclude_none=True), "train": {"max_steps": 1}})
    weights.export_weights(make_model(config), whole, tokenizer, tmp_path / "out", dtype="float32", split=False)
    read = transformers.AutoTokenizer.from_pretrained(tmp_path / "out")
    for text in (corpus.text, f"  two  words {corpus.text * 50}", "1 2", "", "\n"):
        assert read(text)["input_ids"] == tokenizer.encode(text).tolist()
        assert read.decode(read(text)["input_ids"]) == text
    assert theirs(tmp_path / "out").generation_config.eos_token_id == tokenizer.end_of_document


def test_a_tokenizer_that_transformers_reads_differently_is_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = make_config(**MODELS["gpt2"])
    whole = validate({"model": config.model_dump(exclude_none=True), "train": {"max_steps": 1}})
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([piece.text for piece in Corpus().pieces()]), model_prefix=str(tmp_path / "unigram"),
        model_type="unigram", vocab_size=60, hard_vocab_limit=False, minloglevel=2,
    )  # fmt: skip
    unigram = given_tokenizer(str(tmp_path / "unigram.model"))
    for tokenizer, words in ((unigram, "AutoTokenizer cannot read tokenizer.model"), (IdTokenizer(50), "on ids alone")):
        out = tmp_path / tokenizer.kind
        paths = weights.export_weights(make_model(config), whole, tokenizer, out, dtype="float32", split=False)
        assert words in capsys.readouterr().err
        assert not {"tokenizer.json", "tokenizer_config.json"} & {path.name for path in paths}


# ── sharded, and in whole runs ───────────────────────────────────────────────────────────────────────────


@pytest.fixture
def second_of_two() -> Iterator[None]:
    """The second of two processes; the first never answers, so that any communication would change the values."""
    dist.init_process_group("fake", store=FakeStore(), rank=1, world_size=2)
    yield
    dist.destroy_process_group()


@pytest.mark.usefixtures("second_of_two")
def test_a_process_loads_its_part_of_a_sharded_model_without_the_others(tmp_path: Path) -> None:
    config = make_config(**MODELS["qwen3-tied"], init_from=str(tmp_path))
    expected = make_model(config)
    export(expected, tmp_path)
    model = Transformer(config)
    mesh = dist.init_device_mesh("cpu", (2,))
    for module in (*model.blocks, model):
        fully_shard(module, mesh=mesh)
    weights.load_pretrained(model, config)
    whole = expected.state_dict()
    for name, parameter in model.state_dict().items():
        assert isinstance(parameter, DTensor), name
        assert torch.equal(parameter.to_local(), whole[name].chunk(2)[1]), name


RUN = {"norm": "rmsnorm", "ffn": "swiglu", "position": "rope", "n_kv_heads": 1}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run directory after a short training run."""
    run_dir = make_run(tmp_path_factory.mktemp("weights"), model=RUN)
    process = run_engine(run_dir)
    assert process.returncode == 0, process.stderr
    return run_dir


def losses(run_dir: Path) -> dict[int, float]:
    """Validation losses by step."""
    return {record.step: record.loss for record in of_type(read_log(run_dir), events.Eval)}


def test_a_run_starts_from_the_exported_weights_of_another(finished: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    exported = ["export", "weights", str(finished), "--out", str(out)]
    process = run_command(finished, *exported, "--step", "4", "--split", "--json")
    assert process.returncode == 0, process.stderr
    assert all(Path(path).is_file() for path in check_output("export", process.stdout))
    before = losses(finished)
    run_dir = make_run(
        tmp_path, model={**RUN, "init_from": str(out)}, data={"source": str(finished.parent / "corpus.txt")}
    )
    started = run_engine(run_dir)
    assert started.returncode == 0, started.stderr
    assert f"from {out}" in " ".join(started.stdout.split())
    assert losses(run_dir)[0] == pytest.approx(before[4], rel=1e-6) and before[4] < before[0]

    # The weights are read once: a resume starts from the run's own checkpoint.
    (out / "config.json").unlink()
    assert run_engine(run_dir, "train", "--resume").returncode == 0


def test_an_export_error_is_one_sentence(finished: Path, tmp_path: Path) -> None:
    process = run_engine(finished, "export-weights", "--out", str(finished))
    assert process.returncode == 2
    assert process.stderr == f"tuitrain: {finished} is not an empty directory: name a new one with --out.\n"
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o555)
    for out in (closed, closed / "below"):
        command = ["export", "weights", str(finished), "--out", str(out)]
        process = run_command(finished, *command, before=obey_permissions)
        assert (process.returncode, process.stderr) == (1, f"tuitrain: {out}: permission denied.\n")


def test_a_hub_name_without_a_network_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_dir = make_run(tmp_path, model={**RUN, "init_from": "hf:nobody/nothing"})
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    process = run_engine(run_dir)
    assert process.returncode == 2
    assert "model.init_from = hf:nobody/nothing: could not be fetched" in process.stderr
    assert "Without a network" in process.stderr and "Traceback" not in process.stderr
    assert process.stderr.strip().count("\n") == 0
