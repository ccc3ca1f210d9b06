"""Embedding models in folders of the user's: how they are read, and what is refused."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto
from tokenizers import Tokenizer

from allma_server.config import Config
from allma_server.diagnostics.setting_checks import check_setting
from allma_server.errors import InvalidArgument, ModelNotFound, ModelUnsuitable, ProviderError
from allma_server.ports import Vector
from allma_server.providers.embedding import open_embedder
from tests.unit.providers.embedding.model_folders import (
    TOKENIZER,
    modules,
    pooling,
    write_json,
    write_model,
)

TEXT = "The billing service listens on port 7443."


async def vector(folder: Path, text: str = TEXT, *, query: bool = False) -> Vector:
    async with open_embedder(f"onnx/{folder}", Config()) as embedder:
        return (
            await embedder.embed_query(text)
            if query
            else (await embedder.embed_documents([text]))[0]
        )


async def identity(folder: Path) -> str:
    async with open_embedder(f"onnx/{folder}", Config()) as embedder:
        return embedder.identity


def token_rows(text: str, *, seed: int = 0, most: int = 512) -> np.ndarray:
    """The vectors of the tokens of a text, as `write_model` made them."""
    tokenizer = Tokenizer.from_file(str(TOKENIZER))
    tokenizer.no_padding()
    tokenizer.enable_truncation(most)
    table = np.random.default_rng(seed).standard_normal((30522, 32), np.float32)
    return table[tokenizer.encode(text).ids]


def unit(values: np.ndarray) -> np.ndarray:
    return values / np.linalg.norm(values)


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("mean_tokens", lambda rows: rows.mean(axis=0)),
        ("mean_sqrt_len_tokens", lambda rows: rows.mean(axis=0)),
        ("cls_token", lambda rows: rows[0]),
        ("max_tokens", lambda rows: rows.max(axis=0)),
    ],
)
async def test_tokens_are_pooled_as_the_folder_says(
    tmp_path: Path, mode: str, expected: Callable[[np.ndarray], np.ndarray]
) -> None:
    folder = write_model(tmp_path / "model")
    write_json(folder, "1_Pooling/config.json", pooling(32, mode))
    wanted = unit(expected(token_rows(TEXT)))
    np.testing.assert_allclose(await vector(folder), wanted, atol=1e-5)


async def test_the_newer_name_of_the_pooling_is_read(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "model")
    write_json(folder, "1_Pooling/config.json", pooling(32) | {"pooling_mode": "cls"})
    np.testing.assert_allclose(await vector(folder), unit(token_rows(TEXT)[0]), atol=1e-5)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"inputs": ["input_ids"]}, id="input_ids alone"),
        pytest.param({"inputs": ["input_ids", "attention_mask"]}, id="two inputs"),
        pytest.param({"outputs": ["token_embeddings"]}, id="the output of an older export"),
        pytest.param({"outputs": ["anything"]}, id="an output of an unknown name"),
        pytest.param({"outputs": ["pooler", "last_hidden_state"]}, id="not the first output"),
        pytest.param({"shape": (1, 64)}, id="texts of one length only"),
        pytest.param({"shape": ("batch", "tokens")}, id="axes with names"),
        pytest.param({"kind": TensorProto.INT32}, id="numbers of 32 bits"),
        pytest.param({"external": True}, id="weights in a file beside the model"),
    ],
)
async def test_exports_differ_and_their_vectors_do_not(
    tmp_path: Path, change: dict[str, object]
) -> None:
    folder = write_model(tmp_path / "model", **change)  # type: ignore[arg-type]
    wanted = unit(token_rows(TEXT).mean(axis=0))
    np.testing.assert_allclose(await vector(folder), wanted, atol=1e-5)


async def test_the_pooling_inside_the_model_comes_first(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "model", outputs=["last_hidden_state", "sentence_embedding"])
    np.testing.assert_allclose(await vector(folder), unit(token_rows(TEXT).max(axis=0)), atol=1e-5)


async def test_a_text_is_cut_to_the_length_that_the_folder_names(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "model")
    long = "billing " * 300
    for name, limit in (("config", 400), ("tokenizer_config", 200), ("sentence_bert_config", 100)):
        key = {
            "config": "max_position_embeddings",
            "tokenizer_config": "model_max_length",
            "sentence_bert_config": "max_seq_length",
        }[name]
        write_json(folder, f"{name}.json", {key: limit})
        async with open_embedder(f"onnx/{folder}", Config()) as embedder:
            assert embedder.max_tokens == limit
            found = await embedder.embed_query(long)
        wanted = unit(token_rows(long, most=limit).mean(axis=0))
        np.testing.assert_allclose(found, wanted, atol=1e-5)


async def test_prefixes_come_from_the_folder_or_else_from_the_models_card(tmp_path: Path) -> None:
    own = write_model(tmp_path / "own")
    prompts = {"prompts": {"query": "ask: ", "document": "text: "}}
    write_json(own, "config_sentence_transformers.json", prompts)
    plain = write_model(tmp_path / "plain")
    e5 = write_model(tmp_path / "multilingual-e5-small")
    cached = write_model(tmp_path / "models--intfloat--e5-base-v2" / "snapshots" / "1a2b")
    for folder, query, document in (
        (own, "ask: ", "text: "),
        (e5, "query: ", "passage: "),
        (cached, "query: ", "passage: "),
        (plain, "", ""),
    ):
        np.testing.assert_array_equal(
            await vector(folder, query=True), await vector(plain, query + TEXT)
        )
        np.testing.assert_array_equal(await vector(folder), await vector(plain, document + TEXT))


async def test_the_identity_follows_the_content_and_not_the_place(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "model", external=True)
    first = await identity(folder)
    moved = shutil.copytree(folder, tmp_path / "moved")
    assert await identity(moved) == first
    seen = {first}
    weights = (folder / "model.onnx_data").read_bytes()
    (folder / "model.onnx_data").write_bytes(weights[:-1] + b"\0")
    seen.add(await identity(folder))
    write_json(folder, "1_Pooling/config.json", pooling(32, "cls_token"))
    seen.add(await identity(folder))
    write_json(folder, "config_sentence_transformers.json", {"prompts": {"query": "ask: "}})
    seen.add(await identity(folder))
    write_json(folder, "sentence_bert_config.json", {"max_seq_length": 64})
    seen.add(await identity(folder))
    assert len(seen) == 5


async def test_files_that_change_after_the_start_are_not_mixed(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "model")
    async with open_embedder(f"onnx/{folder}", Config()) as embedder:
        write_model(folder, seed=1)
        os.utime(folder / "model.onnx", ns=(1, 1))
        with pytest.raises(ModelUnsuitable, match="have changed"):
            await embedder.embed_query(TEXT)


async def test_links_are_followed_as_in_the_cache_of_hugging_face(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "model")
    blob = tmp_path / "blob"
    (folder / "model.onnx").rename(blob)
    (folder / "onnx").mkdir()
    (folder / "onnx" / "model.onnx").symlink_to(blob)
    linked = tmp_path / "linked"
    linked.symlink_to(folder)
    assert len(await vector(linked)) == 32


async def test_a_home_folder_may_be_abbreviated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_model(tmp_path / "models" / "mine")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert len(await vector(Path("~/models/mine"))) == 32


def without(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def with_text(name: str, text: str | bytes) -> Callable[[Path], None]:
    content = text.encode() if isinstance(text, str) else text
    return lambda folder: void((folder / name).write_bytes(content))


def with_json(name: str, value: object) -> Callable[[Path], None]:
    return lambda folder: write_json(folder, name, value)


def rewritten(**change: object) -> Callable[[Path], None]:
    return lambda folder: void(write_model(folder, **change))  # type: ignore[arg-type]


def as_pipe(name: str) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        (folder / name).unlink()
        os.mkfifo(folder / name)

    return make


def with_dense(folder: Path) -> None:
    write_json(folder, "modules.json", modules("Transformer", "Pooling", "Dense"))
    write_json(folder, "2_Dense/config.json", {"in_features": 32, "out_features": 16})


def without_weights(folder: Path) -> None:
    write_model(folder, external=True)
    (folder / "model.onnx_data").unlink()


def void(_: object) -> None:
    return None


BROKEN = [
    pytest.param(without("modules.json"), r"no modules\.json", id="without modules.json"),
    pytest.param(without("model.onnx"), r"no model\.onnx", id="without a model"),
    pytest.param(without("tokenizer.json"), r"no tokenizer\.json", id="without a tokenizer"),
    pytest.param(without("1_Pooling/config.json"), r"1_Pooling/config\.json", id="no pooling"),
    pytest.param(with_text("model.onnx", "no model"), "not a model in ONNX", id="no ONNX"),
    pytest.param(with_text("model.onnx", b""), "not a model in ONNX", id="empty"),
    pytest.param(with_text("tokenizer.json", "{}"), "format of the tokenizers", id="{}"),
    pytest.param(without_weights, "weights is missing", id="weights missing"),
    pytest.param(with_text("modules.json", "[{"), r"modules\.json cannot be used", id="no JSON"),
    pytest.param(with_text("modules.json", "[" * 100_000), "cannot be used", id="deep JSON"),
    pytest.param(with_text("modules.json", " " * 2_000_000), "larger than", id="large JSON"),
    pytest.param(with_json("modules.json", {}), r"modules\.json cannot be used", id="no list"),
    pytest.param(with_json("modules.json", []), r"\(none\)", id="no modules"),
    pytest.param(with_json("modules.json", modules("CLIPModel")), "CLIPModel", id="images"),
    pytest.param(with_json("modules.json", modules("Transformer", "Pooling", "LSTM")), "LSTM",
                 id="another step"),
    pytest.param(with_json("modules.json", [
        {"type": "x.Transformer", "path": ""}, {"type": "x.Pooling", "path": "../other"}]),
        "another folder", id="a step elsewhere"),
    pytest.param(with_dense, "dense layer", id="a dense layer outside of the model"),
    pytest.param(with_json("1_Pooling/config.json", pooling(32)), "none", id="no mode"),
    pytest.param(with_json("1_Pooling/config.json", pooling(32, "lasttoken")), "lasttoken",
                 id="the last token"),
    pytest.param(with_json("1_Pooling/config.json", pooling(32, "cls_token", "max_tokens")),
                 "cls and max", id="two modes"),
    pytest.param(with_json("1_Pooling/config.json", pooling(32, "mean_tokens") |
                 {"include_prompt": False}), "without the prefix", id="prefix left out"),
    pytest.param(with_json("1_Pooling/config.json", pooling(0, "mean_tokens")), "cannot be used",
                 id="no dimensions"),
    pytest.param(with_json("1_Pooling/config.json", pooling(48, "mean_tokens")), r"\(32,\).*48",
                 id="other dimensions than said"),
    pytest.param(with_json("1_Pooling/config.json", pooling(99_999, "mean_tokens")),
                 "4096 is the most", id="too many dimensions"),
    pytest.param(rewritten(inputs=["input_ids", "pixel_values"]), "pixel_values", id="an image"),
    pytest.param(rewritten(inputs=["input_ids", *(f"past.{n}" for n in range(30))]),
                 r"past\.0", id="too many inputs"),
    pytest.param(rewritten(shape=(8, None)), "exactly 8 texts", id="batches of one size"),
    pytest.param(rewritten(inputs=["input_ids"], shape=(1, 64)), "exactly 64 tokens",
                 id="one length without a mask"),
    pytest.param(rewritten(factor=float("nan")), "not finite", id="not a number"),
    pytest.param(rewritten(factor=float("inf")), "not finite", id="infinite"),
    pytest.param(rewritten(factor=0.0), "all zeros", id="zeros"),
    pytest.param(as_pipe("model.onnx"), "not a regular file", id="a pipe as model"),
    pytest.param(as_pipe("modules.json"), "not a regular file", id="a pipe as settings"),
    pytest.param(as_pipe("tokenizer.json"), "not a regular file", id="a pipe as tokenizer"),
]  # fmt: skip


@pytest.mark.parametrize(("breaks", "sentence"), BROKEN)
async def test_a_folder_that_cannot_be_used_is_told_in_one_sentence(
    tmp_path: Path, breaks: Callable[[Path], None], sentence: str
) -> None:
    folder = write_model(tmp_path / "model")
    breaks(folder)
    with pytest.raises((ModelUnsuitable, ModelNotFound), match=sentence) as raised:
        await vector(folder)
    message = raised.value.message
    assert str(folder) in message and "\n" not in message and raised.value.hint
    assert message.endswith(".") and not message.endswith("..")


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("models/bge", "whole path"),
        ("home\0x", "zero byte"),
        ("{here}/nothing", "does not exist"),
        ("{here}/model/model.onnx", "is not a folder"),
        ("{here}/model/model.onnx/deeper", "does not exist"),
        ("{here}/pipe", "is not a folder"),
        ("{here}/loop", "cannot be read"),
        ("~nobody-of-this-name/model", "whole path"),
        ("/dev/null", "is not a folder"),
    ],
)
async def test_a_path_that_is_no_folder_is_told(tmp_path: Path, path: str, sentence: str) -> None:
    write_model(tmp_path / "model")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises((InvalidArgument, ProviderError), match=sentence):
        await vector(Path(path.format(here=tmp_path)) if "\0" not in path else path)  # type: ignore[arg-type]


async def test_a_setting_that_can_never_work_is_refused(tmp_path: Path) -> None:
    async def checked(name: str) -> str | None:
        return await check_setting("embedder", Config(embedder=name))

    folder = write_model(tmp_path / "model")
    assert await checked(f"onnx/{folder}") is None
    assert "does not exist" in (await checked(f"onnx/{tmp_path}/away") or "")
    for name in ("onnx/relative", "onnx/"):
        with pytest.raises(InvalidArgument):
            await checked(name)
    write_model(folder, factor=float("nan"))
    with pytest.raises(InvalidArgument, match="not finite"):
        await checked(f"onnx/{folder}")


async def test_the_vectors_of_a_published_model_have_the_expected_neighbours(
    shared_data: Path,
) -> None:
    folder = shared_data / "models" / "bge_small_int7"
    if not folder.exists():
        pytest.skip(f"{folder} does not exist")
    config = json.loads((folder / "config_sentence_transformers.json").read_text())
    assert config["prompts"]["query"]
    texts = [
        "The lighthouse keeper lights the lamp at dusk.",
        "def retry(call, attempts): repeat a request that failed",
        "Tomatoes need sun, water and patience.",
        "The invoice is due within thirty days.",
    ]
    async with open_embedder(f"onnx/{folder}", Config()) as embedder:
        assert (embedder.dimensions, embedder.max_tokens) == (384, 512)
        rows = await embedder.embed_documents(texts)
        for query, expected in (
            ("who switches on the beacon in the evening", 0),
            ("try an HTTP call again after an error", 1),
            ("how do I grow vegetables", 2),
            ("when must the bill be paid", 3),
        ):
            cosines = rows @ await embedder.embed_query(query)
            assert int(np.argmax(cosines)) == expected
            assert cosines.min() > 0.3, "cosines of this model are high, also of unrelated texts"
