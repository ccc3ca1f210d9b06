"""Why a search may have found less than there is: one sentence and one code for each reason."""

from collections.abc import Sequence

from allma_server._internal.paths import is_inside
from allma_server.operations.call import Call
from allma_server.search.search import Scope
from allma_server.types import Explanation, NoticeCode, SearchResult, Workspace

Notice = tuple[str, NoticeCode | None]

EMPTY = "Nothing is indexed yet: add a folder with `allma index DIR`, or the tool index."


async def notice_of(
    call: Call, scope: Scope, found: SearchResult | Explanation
) -> tuple[str | None, NoticeCode | None]:
    """The sentences and the code of what limited a search; the gravest reason gives the code."""
    workspaces = await call.engine.catalog.workspaces(proposed=True)
    if not workspaces:
        return EMPTY, "nothing_indexed"
    mine = [w for w in workspaces if _concerns(w, scope.folders)]
    missing = await call.engine.ingestion.missing(mine)
    gone: list[Notice] = [(why, None) for why in missing.values()]
    reasons: list[Notice | None] = [
        _unwritable(call),
        _indexing(call, mine),
        await _without_documents(call, scope, all_gone=bool(mine) and len(missing) == len(mine)),
        *gone,
        _without_vectors(call, found),
    ]
    given = [reason for reason in reasons if reason is not None]
    sentences = [sentence for sentence, _ in given]
    if found.notice:
        sentences.append(found.notice)
    code: NoticeCode | None = found.notice_code
    for _, graver in reversed(given):
        code = graver or code
    return " ".join(sentences) or None, code


def _concerns(workspace: Workspace, folders: Sequence[str]) -> bool:
    return not folders or any(
        is_inside(workspace.path, folder) or is_inside(folder, workspace.path) for folder in folders
    )


def _indexing(call: Call, workspaces: Sequence[Workspace]) -> Notice | None:
    under_way = [call.engine.ingestion.progress(workspace) for workspace in workspaces]
    known = [each for each in under_way if each is not None]
    if not known:
        return None
    done = sum(done for done, _ in known)
    totals = [total for _, total in known if total is not None]
    how_far = f"{done:,} of {sum(totals):,} files" if totals else "looking for files"
    return (f"Indexing is in progress ({how_far}); results may be incomplete.", "indexing")


async def _without_documents(call: Call, scope: Scope, *, all_gone: bool) -> Notice | None:
    """No document is where the search looked; where all folders are gone, that is why."""
    folders = scope.folders or (None,)
    matching = call.engine.catalog.matching_documents
    if not any([await matching(folder, None, None) for folder in folders]):
        if all_gone:
            return None
        where = f" in {', '.join(scope.folders)}" if scope.folders else ""
        sentence = f"Nothing is indexed{where} yet: `allma documents` tells what was left out, why."
        return sentence, "nothing_indexed"
    if not scope.glob or any([await matching(folder, scope.glob, None) for folder in folders]):
        return None
    sentence = f"No indexed file matches {scope.glob!r}: `allma documents` lists the files."
    return sentence, "no_match_for_path"


def _unwritable(call: Call) -> Notice | None:
    why = call.engine.catalog.unwritable
    if why is None:
        return None
    return f"{why.message} What was indexed before is searched; changes are not indexed.", None


def _without_vectors(call: Call, found: SearchResult | Explanation) -> Notice | None:
    why = call.engine.ingestion.incomplete
    if why is None or found.notice_code == "embedder_unavailable":
        return None
    return f"Some documents are found by keywords only so far: {why}", "embedder_unavailable"
