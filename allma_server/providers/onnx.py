"""Run models in ONNX format over texts, with onnxruntime on the CPU."""

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from allma_server.errors import ProviderError

# Characters. Only the first tokens are used, but the tokenizer would process a whole book.
_MAX_LENGTH = 20_000

# This fused operator takes longer than the two that it replaces: ordinary exports of BERT need a
# quarter less time without it.
_SLOWER = ["SkipLayerNormFusion"]


class OnnxModel:
    """A loaded model with its tokenizer; safe to call from several threads.

    Texts are run one at a time, so that nothing is padded and the activations fit a core's cache.

    Raises:
        ProviderError: the model cannot be loaded; `hint` is the next step.
    """

    def __init__(
        self, model: Path, tokenizer: Path, max_tokens: int, *, hint: str | None = None
    ) -> None:
        try:
            # Imported here: half a second and 60 MB that a process without a model saves.
            import onnxruntime  # pyright: ignore[reportMissingTypeStubs]
            import tokenizers
        except ImportError as exc:
            raise ProviderError(f"ONNX models cannot run on this machine: {exc}.", hint) from exc
        runtime: Any = onnxruntime  # it has no type information
        options = runtime.SessionOptions()
        # One thread each, because texts run in parallel. Threads must not spin while they wait,
        # and a memory arena would never be freed (it is not faster).
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.enable_cpu_mem_arena = False
        try:
            self._session: Any = runtime.InferenceSession(
                os.fspath(model),
                options,
                providers=["CPUExecutionProvider"],
                disabled_optimizers=_SLOWER,
            )
            self._tokenizer: Any = tokenizers.Tokenizer.from_file(os.fspath(tokenizer))
        # Both libraries raise their own classes, which derive directly from Exception.
        except Exception as exc:
            reason = str(exc).splitlines()[0][:200]
            raise ProviderError(f"The model {model} cannot be loaded: {reason}", hint) from exc
        self._tokenizer.enable_truncation(max_tokens)
        self._tokenizer.no_padding()
        self.inputs = frozenset(each.name for each in self._session.get_inputs())

    def run(self, text: str, pair: str | None = None) -> NDArray[np.float32]:
        """Return the first output for a text or a pair of texts, without the batch axis.

        The model's inputs must be those of BERT: input_ids, attention_mask, token_type_ids.
        """
        second = _encodable(pair) if pair is not None else None
        encoded = self._tokenizer.encode(_encodable(text), second)
        values = {
            "input_ids": encoded.ids,
            "attention_mask": encoded.attention_mask,
            "token_type_ids": encoded.type_ids,
        }
        arrays = {
            name: np.asarray([numbers], np.int64)
            for name, numbers in values.items()
            if name in self.inputs
        }
        return self._session.run(None, arrays)[0][0]


def _encodable(text: str) -> str:
    # A lone surrogate (half of an emoji, cut by a client) cannot be encoded.
    return text[:_MAX_LENGTH].encode("utf-8", "replace").decode("utf-8")
