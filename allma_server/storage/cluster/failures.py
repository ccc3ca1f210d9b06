"""What a cluster's client raises, as sentences."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from allma_server.storage.cluster.addresses import Address

KEY_HINT = (
    "Store the key with `allma config set-key vector_store`, or set ALLMA_VECTOR_STORE_API_KEY in "
    "the environment and run `allma daemon restart`."
)
_KNOWN = (
    (("401", "unauthorized", "unauthenticated", "403", "permission_denied", "forbidden"), "key"),
    (("vector lengths", "vector dim", "dimensions", "different length"), "dimensions"),
    (("read-only", "readonly", "disk usage", "no space"), "full"),
    (("tenant not found", "could not find class"), "lost"),
    (("resource_exhausted", "too large", "413"), "large"),
)
LONGEST = 200
"""Characters of what a server says that are shown."""


@dataclass(frozen=True, slots=True)
class Failure:
    """What failed; `refused`: another node would say the same.

    `other_vectors`: vectors of another length are where these belong.
    """

    message: str
    hint: str | None = None
    refused: bool = False
    other_vectors: bool = False


class Refused(Exception):
    """The cluster answers, and does not take an object; the message says why."""


def raised() -> tuple[type[Exception], ...]:
    """Return the exceptions by which the client says that a call failed."""
    import grpc.aio
    import httpx
    from weaviate.exceptions import WeaviateBaseError

    return (
        Refused,
        TimeoutError,
        OSError,
        WeaviateBaseError,
        httpx.HTTPError,
        grpc.aio.AioRpcError,
        # "Channel is closed": another call has left this node.
        grpc.aio.UsageError,
    )


def is_of_one_call(exc: Exception) -> bool:
    """Return whether a node answers and only this call failed: other calls may succeed there."""
    from weaviate.exceptions import WeaviateBaseError

    said = str(exc)
    return isinstance(exc, WeaviateBaseError) and not (_is_silent(said) or _kind(said) == "key")


def is_of_lost_data(exc: Exception) -> bool:
    """Return whether a call failed because what it asked for is not in the cluster any longer."""
    return _kind(str(exc)) == "lost"


def _kind(said: str) -> str:
    """Return which kind of failure a message tells; "" for others."""
    # Messages also contain ports, ids and times: a status is a whole number.
    return next((kind for words, kind in _KNOWN if re.search(_any_of(words), said.lower())), "")


def _any_of(words: Sequence[str]) -> str:
    return rf"(?<!\d)({'|'.join(map(re.escape, words))})(?!\d)"


def failure_of(exc: Exception, node: Address, seconds: float) -> Failure:
    """Return what an exception means to a user."""
    said = " ".join(str(exc).split())
    match _kind(said):
        case "key":
            return Failure(f"The cluster at {node} refuses the API key.", KEY_HINT, refused=True)
        case "dimensions":
            return Failure(
                f"The cluster at {node} holds vectors of another length under this name.",
                "Another program may have written them: `allma doctor --repair` rebuilds them.",
                refused=True,
                other_vectors=True,
            )
        case "full":
            return Failure(
                f"The cluster at {node} only reads, because its disk or memory is full.",
                "Make space there, and restart its node: it writes again after that.",
            )
        case "lost":
            message = f"The cluster at {node} has lost what was published."
            return Failure(message, "It is published again.", refused=True)
        case "large":
            return Failure(f"The cluster at {node} does not take so large a message.")
        case _ if isinstance(exc, TimeoutError):
            return Failure(f"The cluster at {node} did not answer within {seconds:g} seconds.")
        case _ if "grpc" in said.lower() and "unavailable" in said.lower():
            return Failure(_silent(node), f"Its port for gRPC is {node.grpc_port}.")
        case _ if _is_silent(said):
            return Failure(_silent(node))
        case _:
            return Failure(f"The cluster at {node} failed: {said[:LONGEST] or type(exc).__name__}.")


def _silent(node: Address) -> str:
    return f"The cluster at {node} does not answer."


def _is_silent(said: str) -> bool:
    return any(w in said.lower() for w in ("connect", "unavailable", "reset", "closed", "eof"))
