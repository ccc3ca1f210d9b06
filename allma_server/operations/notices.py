"""Why a search may be incomplete: a sentence and a code for each reason."""

from collections.abc import Sequence

from allma_server._internal.paths import is_inside
from allma_server.operations.call import Call
from allma_server.search.search import Scope
from allma_server.types import SHARED, Explanation, NoticeCode, SearchResult, Workspace

Notice = tuple[str, NoticeCode | None]

EMPTY = "No documents indexed. Run `allma index DIR`, or call the tool index."


async def notice_of(
    call: Call, scope: Scope, found: SearchResult | Explanation
) -> tuple[str | None, NoticeCode | None]:
    """Return all reasons as sentences, and the code of the most important one."""
    if scope.folders and all(folder.startswith(SHARED) for folder in scope.folders):
        return found.notice, found.notice_code
    workspaces = await call.engine.catalog.workspaces(proposed=True)
    if not workspaces and isinstance(found, SearchResult) and found.passages:
        return found.notice, found.notice_code
    if not workspaces:
        return " ".join(filter(None, (EMPTY, found.notice))), "nothing_indexed"
    searched = [w for w in workspaces if _overlaps(w, scope.folders)]
    missing = await call.engine.ingestion.unavailable(searched)
    all_missing = bool(searched) and len(missing) == len(searched)
    is_empty = not len(await call.engine.catalog.select_documents(scope.folders))
    indexing = _indexing(call, searched, is_empty=is_empty)
    reasons: list[Notice | None] = [
        _unwritable(call),
        indexing,
        None if is_empty and (indexing or all_missing) else await _without_documents(call, scope),
        *((reason, None) for reason in missing.values()),
        _without_vectors(call, found),
        _without_recognition(call),
    ]
    given = [reason for reason in reasons if reason is not None]
    sentences = [sentence for sentence, _ in given]
    if found.notice:
        sentences.append(found.notice)
    code: NoticeCode | None = found.notice_code
    for _, more_important in reversed(given):
        code = more_important or code
    return " ".join(sentences) or None, code


def _overlaps(workspace: Workspace, folders: Sequence[str]) -> bool:
    return not folders or any(
        is_inside(workspace.path, folder) or is_inside(folder, workspace.path) for folder in folders
    )


def _indexing(call: Call, workspaces: Sequence[Workspace], *, is_empty: bool) -> Notice | None:
    ingestion = call.engine.ingestion
    known = [each for workspace in workspaces if (each := ingestion.progress(workspace))]
    # What fills an empty folder may still wait for its turn, for example after this question.
    if not known and not (is_empty and any(map(ingestion.is_updating, workspaces))):
        return None
    done = sum(done for done, _ in known)
    totals = [total for _, total in known if total is not None]
    how_far = f"{done:,} of {sum(totals):,} files" if totals else "looking for files"
    return (f"Indexing is in progress ({how_far}); results may be incomplete.", "indexing")


async def _without_documents(call: Call, scope: Scope) -> Notice | None:
    """Return why no document is in scope."""
    select = call.engine.catalog.select_documents
    if not len(await select(scope.folders)):
        where = f" in {', '.join(scope.folders)}" if scope.folders else ""
        sentence = f"No documents indexed{where}. `allma documents` lists the skipped files."
        return sentence, "nothing_indexed"
    if not scope.glob or len(await select(scope.folders, scope.globs)):
        return None
    sentence = f"No indexed file matches {scope.glob!r}. `allma documents` lists the files."
    return sentence, "no_match_for_path"


def _unwritable(call: Call) -> Notice | None:
    why = call.engine.catalog.write_error
    if why is None:
        return None
    return f"{why.message} Search uses the existing index; changes are not indexed.", None


def _without_vectors(call: Call, found: SearchResult | Explanation) -> Notice | None:
    why = call.engine.ingestion.missing_vectors_reason
    if why is None or found.notice_code == "embedder_unavailable":
        return None
    return (
        f"Some documents are found by keywords only: {why}",
        "embedder_unavailable",
    )


def _without_recognition(call: Call) -> Notice | None:
    pages = call.engine.ingestion.pages_to_recognise
    if not pages:
        return None
    which = "1 scanned page" if pages == 1 else f"{pages:,} scanned pages"
    return f"The text of {which} is being recognised (OCR); results may be incomplete.", None
