"""The catalogue: everything SQLite knows, from one object; each side has its own file."""

from allma_server.errors import StorageError
from allma_server.stores.archive import Archive
from allma_server.stores.documents import Documents
from allma_server.stores.embeddings import Embeddings
from allma_server.stores.erasure import Erasure
from allma_server.stores.jobs import Jobs
from allma_server.stores.ledger import Ledger
from allma_server.stores.lexical import FullText
from allma_server.stores.passages import Passages
from allma_server.stores.repair import Repair
from allma_server.stores.settings import Settings
from allma_server.stores.turns import Turns
from allma_server.stores.workspaces import Workspaces


class Catalog(
    Workspaces,
    Ledger,
    Embeddings,
    Documents,
    Passages,
    FullText,
    Turns,
    Jobs,
    Settings,
    Erasure,
    Repair,
    Archive,
):
    """Implements the ports `Ledger`, `Lexicon` and `Shelf`, and keeps what people come back to."""

    @property
    def unwritable(self) -> StorageError | None:
        """Why the last change could not be written; None when it could."""
        return self._db.unwritable

    async def check_writable(self) -> None:
        """Raises DataReadOnly, DiskFull or StorageError where it is known that nothing can be."""
        await self._db.check_writable()
