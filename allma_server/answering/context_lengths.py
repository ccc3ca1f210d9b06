"""Choose the context length that a model runs with.

Memory grows with it, and a change makes Ollama load the model again. So it is the smallest of a few
steps that fits the prompt and the answer, and does not shrink while a conversation lasts.
"""

from collections import OrderedDict

STEPS = (4096, 8192, 16384)
_MAX_CONVERSATIONS = 1000


class ContextLengths:
    """The context lengths of the latest conversations, by model."""

    def __init__(self) -> None:
        self._used: OrderedDict[tuple[str, str], int] = OrderedDict()

    def choose(self, model: str, conversation: str, wanted: int, limit: int) -> int:
        """Return a length for `wanted` tokens, and note it for the conversation.

        Args:
            model: its name.
            conversation: the id of the conversation.
            wanted: tokens of prompt and answer.
            limit: the longest context of the model.
        """
        key = (model, conversation)
        fits = next((step for step in STEPS if step >= wanted), STEPS[-1])
        length = min(limit, max(fits, self._used.pop(key, 0)))
        self._used[key] = length
        if len(self._used) > _MAX_CONVERSATIONS:
            self._used.popitem(last=False)
        return length
