"""Neural networks in ONNX form over texts, run by onnxruntime on the CPU."""

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from allma_server.errors import ProviderError

# Only the first tokens count, and a tokenizer would work through a whole book to find them.
_LONGEST = 20_000


class Network:
    """A loaded network and its tokenizer; both may be called from several threads at once.

    Texts are run one at a time: nothing is padded then, and the activations stay in a core's cache.

    Raises:
        ProviderError: it cannot be loaded; `instead` is the next step.
    """

    def __init__(
        self, model: Path, tokenizer: Path, max_tokens: int, *, instead: str | None = None
    ) -> None:
        try:
            # Half a second and 60 MB that a process without a network never pays.
            import onnxruntime  # pyright: ignore[reportMissingTypeStubs]
            import tokenizers
        except ImportError as exc:
            raise ProviderError(f"ONNX models cannot run on this machine: {exc}.", instead) from exc
        runtime: Any = onnxruntime  # it carries no types
        options = runtime.SessionOptions()
        # One thread each: texts run side by side instead. Waiting threads must not spin, and a
        # memory arena would keep its peak for ever (it gained no speed).
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.enable_cpu_mem_arena = False
        try:
            self._session: Any = runtime.InferenceSession(
                os.fspath(model), options, providers=["CPUExecutionProvider"]
            )
            self._tokenizer: Any = tokenizers.Tokenizer.from_file(os.fspath(tokenizer))
        # Both libraries raise classes of their own, derived from Exception and nothing nearer.
        except Exception as exc:
            reason = str(exc).splitlines()[0][:200]
            raise ProviderError(f"The model {model} cannot be loaded: {reason}", instead) from exc
        self._tokenizer.enable_truncation(max_tokens)
        self._tokenizer.no_padding()
        self.inputs = frozenset(each.name for each in self._session.get_inputs())

    def run(self, text: str, pair: str | None = None) -> NDArray[np.float32]:
        """The first output for a text, or for two that belong together, without the batch's axis.

        `inputs` must be of those that BERT and its kin have.
        """
        second = _sound(pair) if pair is not None else None
        encoded = self._tokenizer.encode(_sound(text), second)
        fed = {
            "input_ids": encoded.ids,
            "attention_mask": encoded.attention_mask,
            "token_type_ids": encoded.type_ids,
        }
        arrays = {
            name: np.asarray([numbers], np.int64)
            for name, numbers in fed.items()
            if name in self.inputs
        }
        return self._session.run(None, arrays)[0][0]


def _sound(text: str) -> str:
    # A lone surrogate (half an emoji cut by a client) has no UTF-8 form.
    return text[:_LONGEST].encode("utf-8", "replace").decode("utf-8")
