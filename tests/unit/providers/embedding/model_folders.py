"""Small embedding models in the layout of sentence-transformers: each token has a random vector."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from allma_server.providers.embedding.local import FOLDER

TOKENIZER = FOLDER / "tokenizer.json"
TOKENS = 30522
"""Size of the vocabulary of the tokenizer, which is that of BERT."""

ORDINARY = ("input_ids", "attention_mask", "token_type_ids")


def write_model(
    folder: Path,
    *,
    inputs: Sequence[str] = ORDINARY,
    outputs: Sequence[str] = ("last_hidden_state",),
    dimensions: int = 32,
    factor: float = 1.0,
    shape: tuple[int | None, int | None] = (None, None),
    kind: int = TensorProto.INT64,
    external: bool = False,
    seed: int = 0,
) -> Path:
    """Write a whole folder, whose vectors are multiplied by `factor`, and return it.

    The output `sentence_embedding` is the maximum over the tokens, all others are one vector a
    token. `external` puts the weights into a file beside the model.
    """
    folder.mkdir(parents=True, exist_ok=True)
    table = np.random.default_rng(seed).standard_normal((TOKENS, dimensions), np.float32) * factor
    nodes = [helper.make_node("Gather", ["table", "input_ids"], ["rows"])]
    for name in outputs:
        is_pooled = name == "sentence_embedding"
        node = helper.make_node("Identity", ["rows"], [name])
        if is_pooled:
            node = helper.make_node("ReduceMax", ["rows", "axis"], [name], keepdims=0)
        nodes.append(node)
    graph = helper.make_graph(
        nodes,
        "random",
        [helper.make_tensor_value_info(name, kind, shape) for name in inputs],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(table, "table"), numpy_helper.from_array(np.array([1]), "axis")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    model.ir_version = 10
    onnx.save(
        model, folder / "model.onnx", save_as_external_data=external, location="model.onnx_data"
    )
    shutil.copy(TOKENIZER, folder)
    write_json(folder, "modules.json", modules("Transformer", "Pooling", "Normalize"))
    write_json(folder, "1_Pooling/config.json", pooling(dimensions, "mean_tokens"))
    return folder


def modules(*names: str) -> list[dict[str, Any]]:
    paths = ["" if name == "Transformer" else f"{i}_{name}" for i, name in enumerate(names)]
    return [
        {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{name}"}
        for i, (name, path) in enumerate(zip(names, paths, strict=True))
    ]


def pooling(dimensions: int, *modes: str) -> dict[str, Any]:
    return {"word_embedding_dimension": dimensions} | {f"pooling_mode_{m}": True for m in modes}


def write_json(folder: Path, name: str, value: Any) -> None:
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text(json.dumps(value))
