"""Allma's data types: plain values that depend on no protocol, library or store.

Times are ISO 8601 strings in UTC, paths are absolute, lines and pages count from 1, offsets are
characters into a document's extracted text.

A module is imported when one of its names is first used: making all of the dataclasses takes a
third of the processor time of a search in the shell.
"""

# pyright: reportUnusedImport=false

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from allma_server.types.changes import (
        Add,
        Change,
        FileFacts,
        FileOutcome,
        Keep,
        Move,
        Remove,
        SeenFile,
        Skip,
        Update,
    )
    from allma_server.types.chat import (
        ChatMessage,
        Finish,
        ModelInfo,
        ModelList,
        PullProgress,
        ReplyEvent,
        Role,
        TextDelta,
        Think,
        ThoughtDelta,
    )
    from allma_server.types.chunks import (
        Chunk,
        Extract,
        Parsed,
        Section,
        SectionKind,
        common_heading,
    )
    from allma_server.types.conversations import (
        Answer,
        AnswerRecord,
        AnswerStats,
        Citation,
        Conversation,
        ConversationPage,
        Export,
        GateStats,
        Grounding,
        Message,
        MessageSource,
        Summary,
        Turn,
    )
    from allma_server.types.document_sets import DocumentSet, TermFilter, Terms
    from allma_server.types.documents import (
        Document,
        DocumentPage,
        DocumentRow,
        DocumentState,
        Excerpt,
        Workspace,
    )
    from allma_server.types.evaluation import Evaluation, QuestionRank, StageScores
    from allma_server.types.file_types import (
        BINARY_SUFFIXES,
        FORMAT_BY_SUFFIX,
        FORMATS,
        LANGUAGE_BY_SUFFIX,
        LANGUAGES,
        PICTURE_FORMAT,
        PICTURE_SUFFIXES,
        SLIDE_SUFFIXES,
        format_of,
        is_picture,
        page_label,
    )
    from allma_server.types.ignored_names import IGNORED_ENDINGS, IGNORED_FILES, IGNORED_FOLDERS
    from allma_server.types.jobs import FileReason, ForgetReport, IngestReport, Job
    from allma_server.types.names import chunk_id, is_text, row_id
    from allma_server.types.principals import (
        LOCAL,
        RIGHTS,
        Access,
        Credential,
        LoginCode,
        NewToken,
        Principal,
        Right,
        Token,
        TokenList,
    )
    from allma_server.types.recognition import (
        CONFIDENCE,
        FAILED_PAGES,
        FAILURE,
        INSTALL_OCR,
        PENDING,
        RECOGNISED,
        SCANNED,
        RecognisedPage,
        page_numbers,
        page_ranges,
        recognition_note,
    )
    from allma_server.types.search import (
        Candidate,
        Explanation,
        Hit,
        NoticeCode,
        Outcome,
        Passage,
        RankedScore,
        SearchResult,
        Separation,
        WordHits,
    )
    from allma_server.types.shares import (
        SHARED,
        Run,
        SharedFolder,
        SharedFolders,
        SharedHits,
        SharedPassage,
        SharedScope,
        WordPart,
        WordStatistics,
        WordUse,
    )
    from allma_server.types.status import (
        Check,
        ConnectedClient,
        DaemonStatus,
        Diagnosis,
        Done,
        EmbedderStatus,
        FullTextStatus,
        ImportReport,
        Listening,
        OllamaStatus,
        PageAddress,
        Rescue,
        Status,
        VectorStatus,
        VectorStoreHealth,
        WorkspaceStatus,
    )
    from allma_server.types.times import now
    from allma_server.types.unsaved import FIRST_UNSAVED, UnsavedDocument, is_unsaved

_MODULES = {
    "changes": "Add Change FileFacts FileOutcome Keep Move Remove SeenFile Skip Update",
    "chat": (
        "ChatMessage Finish ModelInfo ModelList PullProgress ReplyEvent Role TextDelta Think "
        "ThoughtDelta"
    ),
    "chunks": "Chunk Extract Parsed Section SectionKind common_heading",
    "conversations": (
        "Answer AnswerRecord AnswerStats Citation Conversation ConversationPage Export GateStats "
        "Grounding Message MessageSource Summary Turn"
    ),
    "document_sets": "DocumentSet TermFilter Terms",
    "documents": "Document DocumentPage DocumentRow DocumentState Excerpt Workspace",
    "evaluation": "Evaluation QuestionRank StageScores",
    "file_types": (
        "BINARY_SUFFIXES FORMAT_BY_SUFFIX FORMATS LANGUAGE_BY_SUFFIX LANGUAGES PICTURE_FORMAT "
        "PICTURE_SUFFIXES SLIDE_SUFFIXES format_of is_picture page_label"
    ),
    "ignored_names": "IGNORED_ENDINGS IGNORED_FILES IGNORED_FOLDERS",
    "jobs": "FileReason ForgetReport IngestReport Job",
    "names": "chunk_id is_text row_id",
    "principals": (
        "LOCAL RIGHTS Access Credential LoginCode NewToken Principal Right Token TokenList"
    ),
    "recognition": (
        "CONFIDENCE FAILED_PAGES FAILURE INSTALL_OCR PENDING RECOGNISED SCANNED RecognisedPage "
        "page_numbers page_ranges recognition_note"
    ),
    "search": (
        "Candidate Explanation Hit NoticeCode Outcome Passage RankedScore SearchResult Separation "
        "WordHits"
    ),
    "shares": (
        "SHARED Run SharedFolder SharedFolders SharedHits SharedPassage SharedScope WordPart "
        "WordStatistics WordUse"
    ),
    "status": (
        "Check ConnectedClient DaemonStatus Diagnosis Done EmbedderStatus FullTextStatus "
        "ImportReport Listening OllamaStatus PageAddress Rescue Status VectorStatus "
        "VectorStoreHealth WorkspaceStatus"
    ),
    "times": "now",
    "unsaved": "FIRST_UNSAVED UnsavedDocument is_unsaved",
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names.split()}

__all__ = [*_MODULE_OF]  # pyright: ignore[reportUnsupportedDunderAll]

if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        if (module := _MODULE_OF.get(name)) is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = globals()[name] = getattr(import_module(f"{__name__}.{module}"), name)
        return value
