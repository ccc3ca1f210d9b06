"""Run models in ONNX format over texts, with onnxruntime on the CPU."""

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from allma_server.errors import ProviderError

TEXT_INPUTS = frozenset({"input_ids", "attention_mask", "token_type_ids"})
"""The inputs of BERT and its successors; a model may have some of them."""

# Characters. Only the first tokens are used, but the tokenizer would process a whole book.
_MAX_LENGTH = 20_000

# This fused operator takes longer than the two that it replaces: ordinary exports of BERT need a
# quarter less time without it.
_SLOWER = ["SkipLayerNormFusion"]

_ONNX_PREFIX = re.compile(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ")
_INTEGERS = {"tensor(int32)": np.int32, "tensor(int64)": np.int64}


class OnnxModel:
    """A loaded model with its tokenizer; safe to call from several threads.

    Texts are run one at a time, so that nothing is padded and the activations fit a core's cache.

    `inputs` are their types by name. `output` is the name of the output that `run` returns: the
    first of `outputs` that the model has, else its first one. `batch_size` and `length` (in tokens)
    are None unless the model takes only inputs of this size.

    Raises:
        ProviderError: the model cannot be loaded; `hint` is the next step.
    """

    def __init__(
        self,
        model: Path,
        tokenizer: Path,
        max_tokens: int,
        *,
        outputs: Sequence[str] = (),
        hint: str | None = None,
    ) -> None:
        try:
            # Imported here: half a second and 60 MB that a process without a model saves.
            import onnxruntime  # pyright: ignore[reportMissingTypeStubs]
            import tokenizers
        except ImportError as exc:
            raise ProviderError(f"ONNX models cannot run on this machine: {exc}.", hint) from exc
        # Both libraries raise their own classes, which derive directly from Exception.
        try:
            self._session = _session(onnxruntime, model)
        except Exception as exc:
            raise ProviderError(
                f"The model {model} cannot be loaded: {_reason(exc)}", hint
            ) from exc
        try:
            self._tokenizer: Any = tokenizers.Tokenizer.from_file(os.fspath(tokenizer))
        except Exception as exc:
            raise ProviderError(
                f"{tokenizer} is not in the format of the tokenizers library: {_reason(exc)}", hint
            ) from exc
        inputs = self._session.get_inputs()
        self.inputs: Mapping[str, str] = {each.name: each.type for each in inputs}
        shapes: dict[str, Sequence[Any]] = {each.name: each.shape for each in inputs}
        self.batch_size = _fixed(shapes.get("input_ids", ()), 0)
        self.length = _fixed(shapes.get("input_ids", ()), 1)
        names = [each.name for each in self._session.get_outputs()]
        self.output: str = next((name for name in outputs if name in names), names[0])
        self._tokenizer.enable_truncation(min(max_tokens, self.length or max_tokens))
        self._tokenizer.no_padding()

    def run(self, text: str, pair: str | None = None) -> NDArray[np.float32]:
        """Return the output for a text or a pair of texts, without the batch axis.

        Rows that belong to tokens are only those of the text, also where the model needs padding.

        Raises:
            ProviderError: the model fails for this text.
        """
        second = _encodable(pair) if pair is not None else None
        encoded = self._tokenizer.encode(_encodable(text), second)
        values = {
            "input_ids": encoded.ids,
            "attention_mask": encoded.attention_mask,
            "token_type_ids": encoded.type_ids,
        }
        tokens = len(encoded.ids)
        padding = [0] * ((self.length or tokens) - tokens)
        arrays = {
            name: np.asarray([[*numbers, *padding]], _INTEGERS.get(self.inputs[name], np.int64))
            for name, numbers in values.items()
            if name in self.inputs
        }
        try:
            output = np.asarray(self._session.run([self.output], arrays)[0][0], np.float32)
        except Exception as exc:  # of its own class, as above
            raise ProviderError(f"The model cannot be run: {_reason(exc)}") from exc
        is_by_token = padding and output.ndim == 2 and len(output) == self.length
        return output[:tokens] if is_by_token else output


def _session(runtime: Any, model: Path) -> Any:  # onnxruntime has no type information
    options = runtime.SessionOptions()
    # One thread each, because texts run in parallel. Threads must not spin while they wait, and a
    # memory arena would never be freed (it is not faster).
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.enable_cpu_mem_arena = False
    options.log_severity_level = 4  # what it would print is raised as well
    return runtime.InferenceSession(
        os.fspath(model),
        options,
        providers=["CPUExecutionProvider"],
        disabled_optimizers=_SLOWER,
    )


def _fixed(shape: Sequence[Any], axis: int) -> int | None:
    """Return the size of an axis; None if it is free, which is a name or None in the model."""
    return shape[axis] if axis < len(shape) and isinstance(shape[axis], int) else None


def _reason(exc: Exception) -> str:
    """Return an error of a library in one line."""
    text = str(exc)
    if "INVALID_PROTOBUF" in text or "No graph was found" in text:
        return "it is not a model in ONNX format."
    if "External data path" in text:
        return "the file with its weights is missing beside it, or is a link to another folder."
    line = _ONNX_PREFIX.sub("", text).partition("\n")[0][:200].rstrip(". ")
    return f"{line or type(exc).__name__}."


def _encodable(text: str) -> str:
    # A lone surrogate (half of an emoji, cut by a client) cannot be encoded.
    return text[:_MAX_LENGTH].encode("utf-8", "replace").decode("utf-8")
