"""Every failure Allma foresees. Anything else that is raised is a bug.

    AllmaError
    ├── InvalidArgument          invalid_argument
    │   └── UnknownSetting       unknown_setting
    ├── NotFound                 not_found
    │   ├── PathNotFound         path_not_found
    │   ├── DocumentNotFound     document_not_found
    │   ├── ConversationNotFound conversation_not_found
    │   └── JobNotFound          job_not_found
    ├── FolderNotAllowed         folder_not_allowed
    ├── UnreadableDocument       unreadable_document
    │   ├── NothingToIndex       nothing_to_index
    │   └── LimitReached         limit_reached
    ├── ProviderError            provider_error
    │   ├── ProviderUnreachable  provider_unreachable
    │   ├── ProviderBusy         provider_busy
    │   ├── ApiKeyRefused        api_key_refused
    │   ├── ModelNotFound        model_not_found
    │   ├── ModelUnsuitable      model_unsuitable
    │   ├── InputTooLong         input_too_long
    │   ├── InputRefused         input_refused
    │   ├── EmptyAnswer          empty_answer
    │   └── AnswerInterrupted    answer_interrupted
    ├── StorageError             storage_error
    │   ├── DataDirectoryBusy    data_directory_busy
    │   ├── DataDirectoryTooNew  data_directory_too_new
    │   ├── DataDamaged          data_damaged
    │   ├── DiskFull             disk_full
    │   ├── DataReadOnly         data_read_only
    │   └── VectorStoreDown      vector_store_down
    ├── PermissionDenied         permission_denied
    ├── Unsupported              unsupported
    └── TookTooLong              took_too_long

A protocol shows `message` and `hint` to whoever asked and passes `code` on for programs. The tree
above is compared with the classes by a test.
"""

from collections.abc import Mapping
from typing import ClassVar

from allma_server._internal.path_text import shown


class AllmaError(Exception):
    """A foreseen failure: a stable code, one sentence, and the next step when there is one."""

    code: ClassVar[str] = "error"

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = shown(message)
        self.hint = None if hint is None else shown(hint)
        self.conversation_id: str | None = None
        """Where the question that failed is kept, and can be taken up again."""

    def __str__(self) -> str:
        return f"{self.message} {self.hint}" if self.hint else self.message


class InvalidArgument(AllmaError):
    """An argument has the wrong type, an impossible value, or is missing."""

    code = "invalid_argument"


class UnknownSetting(InvalidArgument):
    """A settings key that does not exist; the message names the nearest that does."""

    code = "unknown_setting"


class NotFound(AllmaError):
    """What was named does not exist."""

    code = "not_found"


class PathNotFound(NotFound):
    """No such file or folder on disk."""

    code = "path_not_found"


class DocumentNotFound(NotFound):
    """The path, URI or chunk is not in the index."""

    code = "document_not_found"


class ConversationNotFound(NotFound):
    """No conversation has this id."""

    code = "conversation_not_found"


class JobNotFound(NotFound):
    """No job has this id."""

    code = "job_not_found"


class FolderNotAllowed(AllmaError):
    """The folder is never indexed: a root, a home, a system folder or Allma's own data."""

    code = "folder_not_allowed"


class UnreadableDocument(AllmaError):
    """A file could not be turned into text; its ledger row becomes `failed` with this reason."""

    code = "unreadable_document"


class NothingToIndex(UnreadableDocument):
    """A sound file without text to index; its ledger row becomes `skipped` with this reason."""

    code = "nothing_to_index"


class LimitReached(UnreadableDocument):
    """Reading a file was stopped by a time limit; the file may be sound, and is worth another try.

    Its ledger row becomes `failed` with this code.
    """

    code = "limit_reached"


class ProviderError(AllmaError):
    """The model provider answered, but not with what was asked for."""

    code = "provider_error"


class ProviderUnreachable(ProviderError):
    """Nothing answers at the provider's address."""

    code = "provider_unreachable"


class ProviderBusy(ProviderError):
    """The provider's queue is full, or it is still loading; the same call may succeed later."""

    code = "provider_busy"


class ApiKeyRefused(ProviderError):
    """The provider wants an API key, or another one than it was given."""

    code = "api_key_refused"


class ModelNotFound(ProviderError):
    """The provider does not have this model."""

    code = "model_not_found"


class ModelUnsuitable(ProviderError):
    """The model exists but cannot do this, such as an embedding model asked to chat."""

    code = "model_unsuitable"


class InputTooLong(ProviderError):
    """A text exceeds the model's context length."""

    code = "input_too_long"


class InputRefused(ProviderError):
    """The model does not take this one text, though it takes others."""

    code = "input_refused"


class EmptyAnswer(ProviderError):
    """The model ended without writing anything that is an answer."""

    code = "empty_answer"


class AnswerInterrupted(ProviderError):
    """The stream of an answer broke off after it had begun."""

    code = "answer_interrupted"


class StorageError(AllmaError):
    """The data directory could not be read or written."""

    code = "storage_error"


class DataDirectoryBusy(StorageError):
    """Another process owns the data directory."""

    code = "data_directory_busy"


class DataDirectoryTooNew(StorageError):
    """The data directory was written by a newer version of Allma."""

    code = "data_directory_too_new"


class DataDamaged(StorageError):
    """The database cannot be read as it was written; a repair keeps what still can be."""

    code = "data_damaged"


class DiskFull(StorageError):
    """No space is left for the data directory; what was indexed still serves."""

    code = "disk_full"


class DataReadOnly(StorageError):
    """The data directory cannot be written; what was indexed still serves."""

    code = "data_read_only"


UNWRITABLE = (DiskFull, DataReadOnly)
"""Nothing can be written, and all that was indexed before can be searched."""


class VectorStoreDown(StorageError):
    """The vector store does not answer; exact search over SQLite's vectors takes its place."""

    code = "vector_store_down"


class PermissionDenied(AllmaError):
    """The principal of a call lacks the right that the operation needs."""

    code = "permission_denied"


class Unsupported(AllmaError):
    """The configured provider cannot do this at all."""

    code = "unsupported"


class TookTooLong(AllmaError):
    """A call was stopped because its client would not have waited for the answer."""

    code = "took_too_long"


REPAIR = "`allma doctor --repair` keeps the conversations and reads the documents again."
"""The next step where the database is damaged."""


def as_dict(error: AllmaError) -> dict[str, str | None]:
    """The contract's Error object; `conversation_id` is there where it is known."""
    said = {"code": error.code, "message": error.message, "hint": error.hint}
    if error.conversation_id is not None:
        said["conversation_id"] = error.conversation_id
    return said


def from_dict(said: Mapping[str, str | None]) -> AllmaError:
    """The error that `as_dict` told of."""
    error = by_code(said["code"] or "")(said["message"] or "", said["hint"])
    error.conversation_id = said.get("conversation_id")
    return error


def by_code(code: str) -> type[AllmaError]:
    """The class with this code; AllmaError itself for one that is not known."""
    todo = [AllmaError]
    while todo:
        kind = todo.pop()
        if kind.code == code:
            return kind
        todo.extend(kind.__subclasses__())
    return AllmaError
