"""Small networks for the tests: cross-encoders that count the words two texts share."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.normalizers import Lowercase
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing

MARKS = ["[UNK]", "[CLS]", "[SEP]"]


def cross_encoder(folder: Path, *texts: str, classes: int = 1, tokens: bool = False) -> Path:
    """Writes a network that knows the words of `texts`; the folder.

    With two `classes` the second one counts. With `tokens` it gives a vector for each token, as
    embedding models do.
    """
    folder.mkdir(parents=True, exist_ok=True)
    words = sorted({word for text in texts for word in split(text)} - set(MARKS))
    vocabulary = {word: number for number, word in enumerate([*MARKS, *words])}
    tokenizer(vocabulary).save(str(folder / "tokenizer.json"))
    rows = np.eye(len(vocabulary), dtype=np.float32)
    rows[: len(MARKS)] = 0
    nodes = [
        helper.make_node("Gather", ["rows", "input_ids"], ["words"]),
        helper.make_node("Cast", ["token_type_ids"], ["kinds"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["kinds", "last"], ["kind"]),
        helper.make_node("Mul", ["words", "kind"], ["second"]),
        helper.make_node("Sub", ["words", "second"], ["first"]),
        helper.make_node("ReduceMax", ["first", "middle"], ["asked"], keepdims=0),
        helper.make_node("ReduceMax", ["second", "middle"], ["said"], keepdims=0),
        helper.make_node("Mul", ["asked", "said"], ["both"]),
        helper.make_node("ReduceSum", ["both", "last_of_two"], ["shared"], keepdims=1),
        helper.make_node("Mul", ["shared", "weights"], ["counted"]),
    ]
    fixed = {
        "rows": rows,
        "last": np.array([2], np.int64),
        "middle": np.array([1], np.int64),
        "last_of_two": np.array([1], np.int64),
        "weights": np.array([[0.0, 1.0][-classes:]], np.float32),
    }
    graph = helper.make_graph(
        nodes,
        "shared-words",
        [
            helper.make_tensor_value_info(name, TensorProto.INT64, [1, None])
            for name in ("input_ids", "token_type_ids")
        ],
        [helper.make_tensor_value_info("words" if tokens else "counted", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in fixed.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    model.ir_version = 10
    onnx.save(model, folder / "model.onnx")
    return folder


def split(text: str) -> list[str]:
    return [word for word, _ in Whitespace().pre_tokenize_str(text.lower())]


def tokenizer(vocabulary: dict[str, int]) -> Tokenizer:
    made = Tokenizer(WordLevel(vocabulary, "[UNK]"))
    made.normalizer = Lowercase()
    made.pre_tokenizer = Whitespace()
    made.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(mark, vocabulary[mark]) for mark in MARKS[1:]],
    )
    return made
