"""Read the log-probabilities of tokens, which Ollama and OpenAI report in the same form."""

import math
from collections.abc import Mapping, Sequence
from typing import Annotated

from pydantic import Field

from allma_server.errors import Unsupported
from allma_server.providers.http import WireModel

TOP_TOKENS = 20
"""The most that servers report for one token."""


class _Token(WireModel):
    token: str = ""
    logprob: Annotated[float, Field(allow_inf_nan=False)] = -100.0


class TokenLogprobs(_Token):
    """A generated token, and the likeliest ones in its place."""

    top_logprobs: list[_Token] = Field(default_factory=list[_Token], max_length=1000)


def first_token(tokens: Sequence[TokenLogprobs], server: str) -> Mapping[str, float]:
    """Return the likeliest first tokens with their probabilities, each from 0 to 1.

    Raises:
        Unsupported: the server reported none.
    """
    likeliest = tokens[0].top_logprobs if tokens else []
    if not likeliest:
        raise Unsupported(f"{server} does not report the probabilities of tokens.")
    return {each.token: math.exp(min(0.0, each.logprob)) for each in likeliest}
