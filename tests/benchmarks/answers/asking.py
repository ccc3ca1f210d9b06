"""Ask a question in both ways: plainly over the passages found, and by `ask`."""

from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass

from allma_server.engine import Engine
from allma_server.operations import BY_NAME, Call, NullProgress
from allma_server.types import LOCAL, Answer, ChatMessage, Passage, SearchResult, TextDelta
from tests.benchmarks.answers.recording import RecordedChatModels

LONGEST_ANSWER = 160
PLAIN = (
    "Answer the question from the numbered passages. Cite the passages you use like [1]. If the "
    "passages do not contain the answer, say that you do not know."
)


class _FirstText(NullProgress):
    """Remembers what had been spent when the first text was shown."""

    def __init__(self, chat: RecordedChatModels) -> None:
        self._chat = chat
        self.spent: float | None = None

    async def text(self, delta: str) -> None:
        if self.spent is None and delta.strip():
            self.spent = self._chat.spent


@dataclass(frozen=True, slots=True)
class Asking:
    """An engine, and the recorded chat models that it asks too.

    Seconds are CPU time of the model server until the first text is shown. `shown`: whether every
    answer is printed.
    """

    engine: Engine
    chat: RecordedChatModels
    model: str
    shown: bool

    def show(self, question: str, gold: object, **answers: str) -> None:
        """Print a question and what each way of asking made of it, if that is wanted."""
        if self.shown:
            said = "".join(f"\n  {way} {answer}" for way, answer in answers.items())
            print(f"\n{question}  {gold}{said}", flush=True)

    async def search(self, question: str, **more: object) -> Sequence[Passage]:
        call = Call(self.engine, LOCAL)
        found: SearchResult = await BY_NAME["search"](call, {"query": question, **more})
        return found.passages

    async def plainly(
        self, question: str, passages: Sequence[Passage], earlier: Sequence[ChatMessage] = ()
    ) -> tuple[str, float]:
        """The answer to the passages put together, without anything of Allma's, and seconds."""
        sources = "\n\n".join(f"[{n}] {p.text}" for n, p in enumerate(passages, start=1))
        asked = ChatMessage("user", f"{sources}\n\nQuestion: {question}")
        messages = [ChatMessage("system", PLAIN), *earlier, asked]
        stream = self.chat.stream(
            self.model, messages, context_length=4096, max_tokens=LONGEST_ANSWER, temperature=0
        )
        began, first, text = self.chat.spent, None, ""
        async with aclosing(stream) as events:
            async for event in events:
                if isinstance(event, TextDelta):
                    text += event.text
                    first = self.chat.spent - began if first is None and text.strip() else first
        return text, first or 0.0

    async def by_allma(self, question: str, **more: object) -> tuple[Answer, float]:
        """The answer of `ask`, and seconds."""
        first, began = _FirstText(self.chat), self.chat.spent
        call = Call(self.engine, LOCAL, first)
        answer: Answer = await BY_NAME["ask"](call, {"question": question, **more})
        return answer, (self.chat.spent if first.spent is None else first.spent) - began
