"""Citations that hold: every `[n]` in an answer names a passage the model was given."""

import re
from collections.abc import Sequence

from allma_server.model import Citation, Passage

_MARK = re.compile(r"\[(?:sources?\s*)?(\d{1,3}(?:\s*[,;–-]\s*\d{1,3})*)\](?!\()", re.I)


def check_citations(text: str, passages: Sequence[Passage]) -> tuple[str, list[Citation]]:
    """The text with numbers that name no passage removed, and all passages as citations.

    `[1, 2]` and `[1-3]` become `[1][2]` and `[1][2][3]`. Marks inside code are left alone: there
    they are indices.
    """
    cited: set[int] = set()

    def rewrite(match: re.Match[str]) -> str:
        numbers = [n for n in _numbers(match[1]) if 1 <= n <= len(passages)]
        cited.update(numbers)
        return "".join(f"[{n}]" for n in numbers)

    parts = re.split(r"(```.*?(?:```|\Z)|`[^`\n]*`)", text, flags=re.S)
    for i in range(0, len(parts), 2):
        parts[i] = re.sub(r"[ \t]+(?=[.,;:!?](?:\s|$))", "", _MARK.sub(rewrite, parts[i]))
    citations = [Citation(n, p, cited=n in cited) for n, p in enumerate(passages, start=1)]
    return "".join(parts).strip(), citations


def _numbers(marked: str) -> list[int]:
    found: list[int] = []
    for part in re.split(r"[,;]", marked):
        ends = [int(n) for n in re.findall(r"\d+", part)]
        found += range(ends[0], min(ends[-1], ends[0] + 50) + 1) if len(ends) > 1 else ends
    return list(dict.fromkeys(found))
