"""Find out how much of the index is in scripts that the embedder does not know."""

import asyncio
from collections import Counter

from allma_server._internal.scripts import script_shares
from allma_server.engine import Engine
from allma_server.errors import AllmaError
from allma_server.ports import Embedder
from allma_server.search.script_knowledge import MEASURE_SECONDS

SAMPLE = 200
"""Chunks that are looked at: their shares are exact to a few percent, in milliseconds."""

MIN_SHARE = 0.1
"""Share of the text below which nothing is said."""

MIN_KNOWN = 0.5

USE_ANOTHER_MODEL = (
    "A multilingual model searches it by meaning as well: run `ollama pull bge-m3` and "
    "`allma config set embedder ollama/bge-m3`, or set embedder to onnx/PATH, with a folder of "
    "multilingual-e5-small."
)

_NAMES = {"Han": "Chinese", "Hangul": "Korean", "Devanagari": "Devanagari (Hindi)"}


async def unknown_scripts(engine: Engine, seconds: float = MEASURE_SECONDS) -> str | None:
    """Return a sentence about text that the embedder does not know; None if it is little.

    None as well while the embedder does not answer within so many seconds.
    """
    try:
        embedder = await engine.embedder.current()
        if embedder is None:
            return None
        async with asyncio.timeout(seconds):
            shares = await _unknown(engine, embedder)
    except (AllmaError, TimeoutError):
        return None
    if shares.total() < MIN_SHARE:
        return None
    names = [_NAMES.get(script, script) for script, _ in shares.most_common(3)]
    joined = " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
    return (
        f"About {shares.total():.0%} of the indexed text is in {joined} script, which the embedder "
        "does not know: search ranks it by words."
    )


async def _unknown(engine: Engine, embedder: Embedder) -> Counter[str]:
    """Return the share of each unknown script in the indexed text."""
    shares: Counter[str] = Counter()
    texts = await engine.catalog.sample_texts(SAMPLE)
    for text in texts:
        shares.update({s: share / len(texts) for s, share in script_shares(text).items()})
    example = {script: text for text in texts for script in script_shares(text)}
    for script in list(shares):
        if shares[script] < MIN_SHARE / 10:
            del shares[script]
        elif await engine.scripts.of_script(script, embedder, example[script]) >= MIN_KNOWN:
            del shares[script]
    return shares
