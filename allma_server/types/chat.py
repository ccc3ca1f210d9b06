"""Messages to and from chat models, and descriptions of models."""

from dataclasses import dataclass, field
from typing import Literal

Role = Literal["user", "assistant", "system"]

Think = Literal["auto", "on", "off"]
"""Whether a model thinks before it answers. With `auto` it does not where the server says that this
can be chosen, so that the answer begins at once; elsewhere the model decides."""


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """A message of a prompt."""

    role: Role
    content: str


@dataclass(frozen=True, slots=True)
class TextDelta:
    """The next piece of a streamed answer."""

    text: str


@dataclass(frozen=True, slots=True)
class ThoughtDelta:
    """The next piece of a model's thinking, which is not part of the answer."""

    text: str


@dataclass(frozen=True, slots=True)
class Finish:
    """The end of an answer. Token counts are the provider's, None if it reports none.

    `reason`: `stop` (the model ended) or `length` (the token limit was reached).
    `text`: the whole answer, if the pieces contained thinking that was recognised too late.
    """

    reason: str
    prompt_tokens: int | None = None
    answer_tokens: int | None = None
    text: str | None = None


ReplyEvent = TextDelta | ThoughtDelta | Finish
"""What a chat model streams; one Finish comes last."""


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """A model of the provider. `context_length` in tokens, `size` in bytes, None if unknown.

    `digest`: of its weights and template, where a list has it.
    """

    name: str
    size: int | None = None
    parameters: str | None = None
    quantization: str | None = None
    context_length: int | None = None
    capabilities: list[str] = field(default_factory=list[str])
    modified_at: str | None = None
    in_use: bool = False
    digest: str | None = None


@dataclass(frozen=True, slots=True)
class PullProgress:
    """A step of downloading a model; bytes, None while unknown."""

    status: str
    completed: int | None = None
    total: int | None = None


@dataclass(frozen=True, slots=True)
class ModelList:
    """The models of the configured provider, and the one in use."""

    models: list[ModelInfo]
    in_use: str | None
    provider: str
