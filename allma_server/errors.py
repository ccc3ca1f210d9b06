"""Every expected error. Any other exception is a bug.

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
    │   │   └── NotRecognised    not_recognised
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
    │   ├── VectorStoreDown      vector_store_down
    │   │   └── OtherVectors     other_vectors
    │   ├── FullTextDown         full_text_down
    │   └── ShareFailed          share_failed
    ├── PermissionDenied         permission_denied
    ├── Unsupported              unsupported
    └── TookTooLong              took_too_long

Clients show `message` and `hint` to people; `code` is for programs. A test compares this tree with
the classes.
"""

from collections.abc import Sequence
from typing import ClassVar, NotRequired, TypedDict

from allma_server._internal.path_text import shown


class AllmaError(Exception):
    """An expected error: a stable code, a sentence that says what happened, and the next step.

    `hint` is the next step of this failure, else the one of its class, else None.
    """

    code: ClassVar[str] = "error"
    next_step: ClassVar[str | None] = None

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = shown(message)
        step = self.next_step if hint is None else hint
        self.hint = None if step is None else shown(step)
        self.conversation_id: str | None = None
        """The conversation that has the failed question and can be continued."""

    def __str__(self) -> str:
        return f"{self.message} {self.hint}" if self.hint else self.message


class InvalidArgument(AllmaError):
    """An argument has the wrong type, an impossible value, or is missing."""

    code = "invalid_argument"


class UnknownSetting(InvalidArgument):
    """A settings key that does not exist; the hint names the nearest one."""

    code = "unknown_setting"
    next_step = "`allma config list` shows all settings."


class NotFound(AllmaError):
    """The named object does not exist."""

    code = "not_found"


class PathNotFound(NotFound):
    """No such file or folder on disk."""

    code = "path_not_found"
    next_step = "Check the path."


class DocumentNotFound(NotFound):
    """The path, URI or chunk is not in the index."""

    code = "document_not_found"
    next_step = "List the documents to see what is indexed."


class ConversationNotFound(NotFound):
    """No conversation has this id."""

    code = "conversation_not_found"
    next_step = "List the conversations to see their ids."


class JobNotFound(NotFound):
    """No job has this id."""

    code = "job_not_found"
    next_step = "The status lists the latest jobs."


class FolderNotAllowed(AllmaError):
    """The folder is never indexed: a root, a home, a system folder or Allma's own data."""

    code = "folder_not_allowed"
    next_step = "Choose a project or document folder."


class UnreadableDocument(AllmaError):
    """A file could not be read as text; its ledger row becomes `failed` with this reason."""

    code = "unreadable_document"


class NothingToIndex(UnreadableDocument):
    """A valid file has no text to index; its ledger row becomes `skipped` with this reason."""

    code = "nothing_to_index"


class NotRecognised(NothingToIndex):
    """All text of a file is in pictures, and not recognised (yet); `pages` are those with it."""

    code = "not_recognised"

    def __init__(self, message: str, hint: str | None = None, pages: Sequence[int] = ()) -> None:
        super().__init__(message, hint)
        self.pages = pages


class LimitReached(UnreadableDocument):
    """Reading a file exceeded its time limit; a later try may succeed.

    Its ledger row becomes `failed` with this code.
    """

    code = "limit_reached"


class ProviderError(AllmaError):
    """The model provider returned an error or an unusable response."""

    code = "provider_error"


class ProviderUnreachable(ProviderError):
    """The provider does not answer at its address."""

    code = "provider_unreachable"


class ProviderBusy(ProviderError):
    """The provider's queue is full, or it is still loading; a later try may succeed."""

    code = "provider_busy"
    next_step = "Try again in a moment."


class ApiKeyRefused(ProviderError):
    """The provider requires an API key, or rejected the given one."""

    code = "api_key_refused"


class ModelNotFound(ProviderError):
    """The provider does not have this model."""

    code = "model_not_found"
    next_step = "`allma models list` shows the installed models."


class ModelUnsuitable(ProviderError):
    """The model exists but cannot do this, such as an embedding model asked to chat."""

    code = "model_unsuitable"
    next_step = "Choose another model; `allma models list` shows what each can do."


class InputTooLong(ProviderError):
    """A text exceeds the model's context length."""

    code = "input_too_long"
    next_step = "Send a shorter text, or use a model with a longer context."


class InputRefused(ProviderError):
    """The model rejects this text but accepts others."""

    code = "input_refused"


class EmptyAnswer(ProviderError):
    """The model finished without writing an answer."""

    code = "empty_answer"
    next_step = "Ask again, or choose another model; `allma models list` shows them."

    def __init__(self, message: str, hint: str | None = None, *, thought: bool = False) -> None:
        """`thought`: the model thought instead of answering."""
        super().__init__(message, hint)
        self.thought = thought


class AnswerInterrupted(ProviderError):
    """The stream of an answer ended before the answer was complete."""

    code = "answer_interrupted"
    next_step = "Ask again."


class StorageError(AllmaError):
    """The data directory could not be read or written."""

    code = "storage_error"


class DataDirectoryBusy(StorageError):
    """Another process uses the data directory."""

    code = "data_directory_busy"
    next_step = "Try again when it has finished, or choose another directory with --data."


class DataDirectoryTooNew(StorageError):
    """The data directory was written by a newer version of Allma."""

    code = "data_directory_too_new"
    next_step = "Update Allma, or choose another directory with --data."


class DataDamaged(StorageError):
    """The database is damaged; a repair keeps every row that can be read."""

    code = "data_damaged"
    next_step = "`allma doctor --repair` keeps the conversations and reads the documents again."


class DiskFull(StorageError):
    """The disk of the data directory is full; the existing index can still be searched."""

    code = "disk_full"
    next_step = "Free some disk space."


class DataReadOnly(StorageError):
    """The data directory cannot be written; the existing index can still be searched."""

    code = "data_read_only"
    next_step = "Make the data directory writable, or choose another one with --data."


UNWRITABLE = (DiskFull, DataReadOnly)
"""Failures to write after which the existing index can still be searched."""


class VectorStoreDown(StorageError):
    """The vector store does not answer; exact search over SQLite's vectors replaces it."""

    code = "vector_store_down"
    next_step = "Exact search is used until it answers again."


class OtherVectors(VectorStoreDown):
    """The vector store holds vectors of another length where these belong."""

    code = "other_vectors"


class FullTextDown(StorageError):
    """The full-text index cannot be used; words are looked up in SQLite until it is rebuilt."""

    code = "full_text_down"
    next_step = "`allma doctor --repair` rebuilds it."


class ShareFailed(StorageError):
    """The cluster does not answer, or refuses to share a folder."""

    code = "share_failed"
    next_step = "`allma shares` shows what is shared; search in the folders here goes on."


class PermissionDenied(AllmaError):
    """The principal of a call lacks the right that the operation needs."""

    code = "permission_denied"


class Unsupported(AllmaError):
    """The configured provider cannot do this at all."""

    code = "unsupported"


class TookTooLong(AllmaError):
    """A call was stopped because its client does not wait any longer."""

    code = "took_too_long"
    next_step = "Narrow the request, or try again when indexing has finished."


class ErrorData(TypedDict):
    """An error as JSON data. `conversation_id`: the conversation with the failed question."""

    code: str
    message: str
    hint: str | None
    conversation_id: NotRequired[str]


def as_dict(error: AllmaError) -> ErrorData:
    """Return an error as JSON data."""
    data: ErrorData = {"code": error.code, "message": error.message, "hint": error.hint}
    if error.conversation_id is not None:
        data["conversation_id"] = error.conversation_id
    return data


def from_dict(data: ErrorData) -> AllmaError:
    """Return the error that `as_dict` turned into data."""
    error = by_code(data["code"])(data["message"], data["hint"])
    error.conversation_id = data.get("conversation_id")
    return error


def by_code(code: str) -> type[AllmaError]:
    """Return the class with this code, or AllmaError for an unknown code."""
    queue = [AllmaError]
    while queue:
        kind = queue.pop()
        if kind.code == code:
            return kind
        queue.extend(kind.__subclasses__())
    return AllmaError
