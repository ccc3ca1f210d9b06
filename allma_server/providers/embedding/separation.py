"""Measure how far an embedder separates the text that answers a question from all others.

Embedders differ in it: a question has a cosine of 0.43 with its answer and of 0.02 ± 0.08 with
other texts for MiniLM; 0.62 and 0.39 ± 0.07 for bge; 0.08 and 0.09 ± 0.13 for an embedder that
counts words. Search needs this to compare cosines with the scores of words.

It is measured on fixed texts, because it is a property of the embedder. In an index whose texts are
nearly the same, or in a language that the model does not know, cosines differ by little as well,
and there this little must not be magnified.
"""

import numpy as np

from allma_server.ports import Embedder
from allma_server.types import Separation

PAIRS = (
    ("who switches on the beacon in the evening",
     "The keeper lights the lamp of the lighthouse at dusk and winds the clockwork."),
    ("how long does a loaf have to be worked before baking",
     "Knead the dough for ten minutes and let it rise under a cloth until it has doubled."),
    ("by when must the bill be paid",
     "The invoice is due within thirty days of receipt; each reminder costs five euros."),
    ("repeat a function after a network failure",
     "def retry(call):\n    try:\n        return call()\n    except TimeoutError:\n        ..."),
    ("growing vegetables in the garden",
     "Tomatoes need sun, water and patience; cut off the side shoots once a week."),
    ("new rules for people who rent a flat",
     "The parliament passed the law on the protection of tenants by a narrow majority."),
    ("how do plants make food from sunlight",
     "Photosynthesis turns carbon dioxide and water into sugar with the energy of light."),
    ("find out which software a device runs",
     "Press both buttons for five seconds until the display shows the version of the firmware."),
    ("result of the football match",
     "The striker scored twice in the second half, and the goalkeeper was injured."),
    ("clinical trial of a treatment for hypertension",
     "Patients with high blood pressure were given the drug or a placebo for six months."),
    ("total of unpaid purchases for each client",
     "SELECT customer, sum(amount) FROM orders WHERE paid IS NULL GROUP BY customer"),
    ("movement of ice in the mountains",
     "A glacier moves a few centimetres a day and carries stones down the valley."),
    ("documents needed when looking for a job",
     "Applicants send their certificates and a letter to the personnel office by May."),
    ("start a web listener in JavaScript",
     "const server = http.createServer((request, response) => response.end('ok'))"),
    ("stock price of a lender drops",
     "Shares of the bank fell by eight percent after the quarterly report."),
    ("foundation of a river crossing",
     "The bridge rests on four pylons that are anchored twenty metres deep in the rock."),
)  # fmt: skip
"""Questions, and texts that answer them in other words: prose, instructions and code."""


async def measure_separation(embedder: Embedder) -> Separation:
    """Return the separation over PAIRS.

    Raises:
        ProviderError: as the embedder does.
    """
    # As queries, because documents may wait behind a long indexing run.
    questions, texts = [
        np.stack([await embedder.embed_query(pair[side]) for pair in PAIRS]) for side in (0, 1)
    ]
    cosines = questions @ texts.T
    own = np.diagonal(cosines)
    others = cosines[~np.eye(len(PAIRS), dtype=bool)]
    return Separation(float(own.mean() - others.mean()), float(others.std()))
