"""The models of the test server: what is installed, and what can be pulled."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tests.ollama.fetch import WEIGHTS, fetch
from tests.ollama.runner import Runner

MODIFIED = "2026-11-01T12:00:00.123456789Z"
THINKING = "thinking"
"""SmolLM2 under another name, made to write thoughts before its answer."""


@dataclass(frozen=True, slots=True)
class Installed:
    """A model as Ollama describes it. `runner` is None for one that only embeds.

    `thinks`: whether it writes thoughts before its answer unless it is told not to.
    """

    name: str
    size: int
    digest: str
    family: str
    parameter_size: str
    quantization_level: str
    context_length: int
    embedding_length: int
    runner: Runner | None
    thinks: bool = False

    @property
    def capabilities(self) -> list[str]:
        thinking = ["thinking"] if self.thinks else []
        return ["completion", *thinking] if self.runner else ["embedding"]

    def details(self) -> dict[str, Any]:
        return {
            "parent_model": "",
            "format": "gguf" if self.runner else "onnx",
            "family": self.family,
            "families": [self.family],
            "parameter_size": self.parameter_size,
            "quantization_level": self.quantization_level,
        }

    def entry(self) -> dict[str, Any]:
        """As in a list of models; without capabilities, as older servers leave them out."""
        return {
            "name": self.name,
            "model": self.name,
            "modified_at": MODIFIED,
            "size": self.size,
            "digest": self.digest,
            "details": self.details(),
        }

    def shown(self) -> dict[str, Any]:
        return {
            "license": "Apache License 2.0",
            "modelfile": f"FROM {self.name}\n",
            "parameters": "",
            "template": "{{ .Prompt }}",
            "details": self.details(),
            "model_info": {
                "general.architecture": self.family,
                "tokenizer.ggml.tokens": None,
                f"{self.family}.context_length": self.context_length,
                f"{self.family}.embedding_length": self.embedding_length,
            },
            "capabilities": self.capabilities,
            "modified_at": MODIFIED,
        }


class Library:
    """`smollm2:135m` and `all-minilm` are installed; a second name of the former can be pulled.

    `more`: other weights to install, by the names that they are fetched by; `thinking` installs a
    model that thinks.
    """

    def __init__(self, more: Sequence[str] = ()) -> None:
        path = fetch("smollm2")
        runner = Runner(path)
        self.installed = {
            model.name: model for model in (_smollm2("smollm2:135m", path, runner), _all_minilm())
        }
        if THINKING in more:
            thinker = replace(_smollm2(_tagged(THINKING), path, runner), thinks=True)
            self.installed[thinker.name] = thinker
        self.installed |= {
            _tagged(name): _qwen(_tagged(name), fetch(name)) for name in more if name != THINKING
        }
        again = _smollm2("smollm2:135m-instruct-q4_1", path, runner)
        self._pullable = {**self.installed, again.name: again}

    def find(self, name: str) -> Installed | None:
        return self.installed.get(_tagged(name))

    def pullable(self, name: str) -> Installed | None:
        return self._pullable.get(_tagged(name))

    @property
    def runners(self) -> list[Runner]:
        return list({id(m.runner): m.runner for m in self._pullable.values() if m.runner}.values())


def _smollm2(name: str, path: Path, runner: Runner) -> Installed:
    return Installed(
        name=name,
        size=path.stat().st_size,
        digest=WEIGHTS["smollm2"].sha256,
        family="llama",
        parameter_size="134.52M",
        quantization_level="Q4_1",
        context_length=8192,
        embedding_length=576,
        runner=runner,
    )


def _qwen(name: str, path: Path) -> Installed:
    return Installed(
        name=name,
        size=path.stat().st_size,
        digest=WEIGHTS[name.removesuffix(":latest")].sha256,
        family="qwen2",
        parameter_size=name.partition("-")[2].upper(),
        quantization_level="Q4_K_M",
        context_length=32768,
        embedding_length=896,
        runner=Runner(path),
    )


def _all_minilm() -> Installed:
    """The very model that Ollama calls so, run from the file Allma ships."""
    return Installed(
        name="all-minilm:latest",
        size=23_402_223,
        digest="fbcb64b2e85fd74a05569d57a8b0777ad95f9ded69bc244c822158eb04f981ce",
        family="bert",
        parameter_size="22.57M",
        quantization_level="I8",
        context_length=256,
        embedding_length=384,
        runner=None,
    )


def _tagged(name: str) -> str:
    return name if ":" in name.rsplit("/", 1)[-1] else f"{name}:latest"
