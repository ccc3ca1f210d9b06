"""Measure whether an embedder knows the language of a text: whether it tells its texts apart.

An embedder that does not know a language sees letters instead of words. Texts on any subject are
then alike, and a search by their vectors finds nothing. Cosines show this whatever the embedder, a
local or a remote one: short texts on subjects that have nothing in common (`probes.py`) are crowded
together, compared with the same texts in English. Texts of the index cannot show it, because those
of a folder about one subject are crowded as well.

    crowding = (mean cosine in the script - mean cosine in English) / (1 - mean cosine in English)

    embedder                 English  other scripts that it knows    those that it does not
    all-MiniLM-L6-v2            .06   -                              .50 to 1.00 (Hebrew, Thai)
    bge-small-en-v1.5           .43   -                              .53 to 1.00 (Cyrillic, Thai)
    multilingual-e5-small       .78   .19 to .42 (Cyrillic, Han)     -

A script stands for its languages. Latin letters count as known: embedders share words, names and
roots between those languages, and meaning helps in German, French, Spanish, Polish, Hungarian and
Turkish with all three.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np

from allma_server._internal.scripts import LATIN, script_shares
from allma_server.errors import ProviderError
from allma_server.ports import Embedder, Vector
from allma_server.search.probes import PROBES

log = logging.getLogger(__name__)

KNOWN, UNKNOWN = 0.43, 0.55
"""Crowding up to which a script is known, and from which it is not; between them, in part."""

MIN_KNOWLEDGE = 0.02
"""Meaning orders the passages that words do not distinguish, whatever the embedder."""

MEASURE_SECONDS = 2.0
"""How long a search waits for the measurement; a local embedder needs a tenth of a second."""

MAX_REVERSED = 200


class ScriptKnowledge:
    """What was measured so far; it is measured once for each embedder and script.

    `tasks` owns measurements that take longer than a search waits for them; the next search uses
    their result.
    """

    def __init__(self, tasks: asyncio.TaskGroup) -> None:
        self._tasks = tasks
        self._cosines: dict[tuple[str, str], float] = {}
        self._measuring = asyncio.Lock()

    async def of_text(self, text: str, embedder: Embedder) -> float:
        """Return how well the embedder knows a text's scripts, from MIN_KNOWLEDGE to 1.

        1 if the embedder fails or needs too long.
        """
        shares = script_shares(text)
        if shares.keys() <= {LATIN}:
            return 1.0
        measured = self._tasks.create_task(self._of_scripts(shares, embedder, text))
        await asyncio.wait({measured}, timeout=MEASURE_SECONDS)
        known = measured.result() if measured.done() else 1.0
        return max(MIN_KNOWLEDGE, known)

    async def _of_scripts(
        self, shares: Mapping[str, float], embedder: Embedder, text: str
    ) -> float:
        try:
            return sum(
                [
                    share * await self.of_script(script, embedder, text)
                    for script, share in shares.items()
                ]
            )
        except ProviderError:
            return 1.0
        except Exception:
            # A task that fails would end all others of its group, and with them the engine.
            log.exception("measuring what the embedder knows failed because of a bug")
            return 1.0

    async def of_script(self, script: str, embedder: Embedder, text: str = "") -> float:
        """Return how well the embedder knows a script, from 0 to 1.

        For a script without probes, `text` is compared with its reverse: who knows the language
        finds no meaning there, and who sees letters finds the same ones.

        Raises:
            ProviderError: the embedder failed.
        """
        if script == LATIN:
            return 1.0
        english = await self._of_probes(LATIN, embedder)
        if script in PROBES:
            alike = await self._of_probes(script, embedder)
        else:
            text = text[:MAX_REVERSED]
            alike = await _mean_cosine((text, text[::-1]), embedder)
        crowding = (alike - english) / max(1e-6, 1 - english)
        return min(1.0, max(0.0, (UNKNOWN - crowding) / (UNKNOWN - KNOWN)))

    async def _of_probes(self, script: str, embedder: Embedder) -> float:
        key = embedder.identity, script
        if key not in self._cosines:
            async with self._measuring:  # one at a time: the second finds the first one's result
                if key not in self._cosines:
                    self._cosines[key] = await _mean_cosine(PROBES[script], embedder)
        return self._cosines[key]


async def _mean_cosine(texts: Sequence[str], embedder: Embedder) -> float:
    vectors = await embedder.embed_documents(texts, urgent=True)
    return float(np.mean([a @ b for a, b in combinations(map(_unit, vectors), 2)]))


def _unit(vector: Vector) -> Vector:
    return vector / (np.linalg.norm(vector) or 1.0)
