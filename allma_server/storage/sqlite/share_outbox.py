"""The outbox of shares: chunks whose change a cluster does not hold yet.

It works as that of the vectors: the transaction that changes a chunk adds its row, and the row is
deleted once the cluster has the change. A chunk is added for every share, wherever its file is:
where it is not in the shared folder, publishing it means to delete it there.
"""

from collections.abc import Collection

from allma_server.storage.sqlite.connection import Transaction
from allma_server.storage.sqlite.rows import as_json

ENQUEUE_TEXT = (
    "INSERT INTO share_outbox (share_id, chunk_id) "
    "SELECT s.id, c.id FROM shares s CROSS JOIN chunks c ON c.text_hash = ? WHERE NOT s.removed"
)
"""Adds the chunks of a text, which has got its vector."""


async def enqueue_shared(tx: Transaction, chunk_ids: Collection[int]) -> None:
    """Note for all shares that chunks changed."""
    if chunk_ids:
        await tx.execute(
            "INSERT INTO share_outbox (share_id, chunk_id) SELECT s.id, j.value FROM shares s "
            "CROSS JOIN json_each(?) j WHERE NOT s.removed",
            (as_json(chunk_ids),),
        )
