"""The catalogue: everything in SQLite as one object; each subject has its own file."""

from allma_server.errors import StorageError
from allma_server.storage.archive.archive import Archive
from allma_server.storage.sqlite.documents import Documents
from allma_server.storage.sqlite.embeddings import Embeddings
from allma_server.storage.sqlite.erasure import Erasure
from allma_server.storage.sqlite.jobs import Jobs
from allma_server.storage.sqlite.ledger import Ledger
from allma_server.storage.sqlite.messages import ConversationMessages
from allma_server.storage.sqlite.passages import Passages
from allma_server.storage.sqlite.recognition import Recognition
from allma_server.storage.sqlite.repair import Repair
from allma_server.storage.sqlite.settings import Settings
from allma_server.storage.sqlite.tokens import Tokens
from allma_server.storage.sqlite.workspaces import Workspaces


class Catalog(
    Workspaces,
    Ledger,
    Embeddings,
    Recognition,
    Documents,
    Passages,
    ConversationMessages,
    Jobs,
    Settings,
    Tokens,
    Erasure,
    Repair,
    Archive,
):
    """Implements the ports `Ledger` and `PassageStore`, and conversations."""

    @property
    def write_error(self) -> StorageError | None:
        """Why the last change could not be written; None when it could."""
        return self._db.write_error

    async def check_writable(self) -> None:
        """Raise DataReadOnly, DiskFull or StorageError when it is known that writing fails."""
        await self._db.check_writable()
