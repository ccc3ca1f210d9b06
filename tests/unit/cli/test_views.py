"""Rendering of results, on terminals of any width and in pipes."""

import io
import re
from dataclasses import replace
from importlib import import_module
from typing import Any, get_args, get_type_hints

import pytest

from allma_server import types
from allma_server.cli import streams
from allma_server.cli.commands.indexing import State
from allma_server.cli.output import Output
from allma_server.cli.page import Page
from allma_server.cli.settings import Setting, Settings
from allma_server.cli.views import MODULES, view
from allma_server.operations import BY_NAME
from allma_server.operations.text import as_text

LONG_PATH = "/srv/" + "/".join(f"a-rather-long-folder-name-{n}" for n in range(6)) + "/file name.md"
NOW = "2026-01-02T03:04:05.000Z"

PASSAGE = types.Passage(
    path="/work/notes/guide.md",
    workspace="/work/notes",
    document_id=1,
    chunk_id=7,
    chunk_index=0,
    text="# Install\n\nThe engines need Python.\nNothing else is required.\n",
    score=0.5,
    start_line=12,
    end_line=15,
    page=None,
    heading=["Guide", "Install"],
    uri="allma://document/1",
)


def citation(number: int, *, cited: bool = True, **changes: Any) -> types.Citation:
    return types.Citation(number, replace(PASSAGE, **changes), cited)


ANSWER = types.Answer(
    text="Python [1].",
    citations=[citation(1), citation(2, path=LONG_PATH, cited=False, page=3)],
    conversation_id="c1",
    message_id="m1",
    model="llama",
    mode="generated",
    stats=types.AnswerStats(1, 2, 3, 4, 5, truncated=False),
)
REPORT = types.IngestReport(
    indexed=3,
    unchanged=1200,
    failed=[types.FileReason(LONG_PATH, "it is encrypted")],
    skipped=[types.FileReason(f"/x/{n}.png", "no text") for n in range(14)],
    chunks=99,
    seconds=1.25,
)
ROW = types.DocumentRow(
    1, LONG_PATH, "/srv", "markdown", "failed", "it is encrypted", "t", 1, 0, NOW, "allma://x"
)
CHAT = types.Conversation("c1", "About [red]engines[/red]", NOW, NOW, 2)
SOURCE = types.MessageSource(1, 1, 7, 0.5, LONG_PATH, 12, 15, None, [], "text")
TOLD = replace(
    CHAT,
    messages=[
        types.Message("1", "user", "Tell *me*.", None, NOW),
        types.Message("2", "assistant", "An **engine** [1].", "llama", NOW, [SOURCE]),
    ],
)
MODEL = types.ModelInfo("llama3.2:3b", 2_000_000_000, "3B", "Q4", 131072, ["tools"], NOW, True)
STATUS = types.Status(
    version="0.1.0",
    data_dir=LONG_PATH,
    embedder=types.EmbedderStatus("local/x", 384),
    chat_model=None,
    ollama=types.OllamaStatus("http://x", False, None, "Ollama does not answer at http://x."),
    vectors=types.VectorStatus("chroma", "ready", 3, None),
    full_text=types.FullTextStatus("rebuilding", 3, "1 of 4 texts are written."),
    workspaces=[types.WorkspaceStatus(LONG_PATH, 1, 2, 0, 1, 0, True)],
    jobs=[types.Job("j", "ingest", "running", "/x", 1, 2, "a.md", NOW)],
    clients=1,
    pid=1,
)
DIAGNOSIS = types.Diagnosis(
    False,
    [
        types.Check("Database", "ok", "42 documents"),
        types.Check("Ollama", "failed", "It does not answer.", "Start it with `ollama serve`."),
    ],
)
EXPLANATION = types.Explanation(
    "an engine",
    ["engin"],
    [],
    ["an"],
    [
        types.Candidate(
            PASSAGE, types.RankedScore(1, 0.5), None, types.RankedScore(1, 20.0),
            types.RankedScore(1, 31.5), None, "shown", None, "defines what is asked for",
        ),
        types.Candidate(
            replace(PASSAGE, path=LONG_PATH, chunk_id=8), types.RankedScore(2, 0.25),
            types.RankedScore(1, 9.5), types.RankedScore(2, 9.5), types.RankedScore(2, 9.0), None,
            "repeats", 7, "", True,
        ),
        types.Candidate(PASSAGE, None, None, types.RankedScore(3, 1.0), None, None, "not_rescored"),
    ],
    knowledge=0.25,
    code=0.5,
)  # fmt: skip
EVALUATION = types.Evaluation(
    2,
    10,
    [types.StageScores("fused", 0.5, 0.5, 0.5, 0.5)],
    [types.QuestionRank("Which port", None), types.QuestionRank("Where", 1)],
    {"reranker": "words"},
    12,
)
RESULTS: list[object] = [
    ANSWER,
    CHAT,
    TOLD,
    DIAGNOSIS,
    MODEL,
    REPORT,
    STATUS,
    STATUS.jobs[0],
    types.ConversationPage([CHAT], 1),
    types.DocumentPage([ROW, replace(ROW, path="/x", state="indexed", reason=None)], 2),
    types.Done("It is done."),
    types.Excerpt(LONG_PATH, "one\ntwo\n", 9, 10, 20, "allma://x", "disk"),
    EXPLANATION,
    EVALUATION,
    replace(EVALUATION, before=EVALUATION, better=1),
    types.Export("t", "# t\n"),
    types.ForgetReport(LONG_PATH, 1, 2, True),
    types.ModelList([MODEL, replace(MODEL, name="tiny", size=None, in_use=False)], "x", "ollama"),
    types.SearchResult([PASSAGE, replace(PASSAGE, path=LONG_PATH, page=3, stale=True)]),
    Setting("top_k", 5, "default", "How many."),
    Settings("/x/config.toml", [Setting("watch", True, "environment", "Follow changes.")]),
]


def shown(result: object, *, terminal: bool = False, width: int = 80, words: str = "") -> str:
    file = io.StringIO()
    page = Page(Output(file, is_terminal=terminal, width=width), "/work", words)
    for item in view(result, page):
        page.print(item)
    return file.getvalue()


def plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m|\x1b]8;.*?\x1b\\", "", text)


@pytest.mark.parametrize("width", [20, 40, 80, 200])
@pytest.mark.parametrize("terminal", [True, False], ids=["terminal", "pipe"])
@pytest.mark.parametrize("result", RESULTS, ids=lambda r: type(r).__name__)
def test_a_path_is_never_broken(result: object, terminal: bool, width: int) -> None:
    text = plain(shown(result, terminal=terminal, width=width))
    assert text.strip()
    if "a-rather-long" in text:
        assert LONG_PATH in text


def test_the_states_of_the_option_are_those_of_the_database() -> None:
    assert get_args(State) == get_args(types.DocumentState)


def test_a_pipe_gets_plain_text_with_paths_from_the_current_folder() -> None:
    other = replace(PASSAGE, path=LONG_PATH, text="not its lines", end_line=99)
    assert shown(types.SearchResult([PASSAGE, other]), words="engine") == (
        f"notes/guide.md:14:The engines need Python.\n{LONG_PATH}:12:not its lines\n"
    )


def test_a_terminal_gets_the_passages_with_the_numbers_of_their_lines() -> None:
    assert plain(shown(types.SearchResult([PASSAGE]), terminal=True, words="engine")) == (
        "1. notes/guide.md:14\n"
        "   Guide › Install\n"
        "    12  # Install\n"
        "    14  The engines need Python.\n"
        "    15  Nothing else is required.\n"
    )


def test_an_explanation_is_a_table_of_ranks_and_scores() -> None:
    lines = [line.rstrip() for line in shown(EXPLANATION).splitlines()]
    assert lines == [
        "terms       engin",
        "too common  an",
        "language    known to the embedder by 25%",
        "code        50% of the passages",
        "",
        "    dense      lexical    fused       rescored",
        "1.    1  0.50    -          1  20.00    1  31.50  shown",
        "    notes/guide.md:12  chunk 7  raised: defines what is asked for",
        "2.    2  0.25    1  9.50    2  9.50     2  9.00   dropped: repeats chunk 7",
        f"    {LONG_PATH}:12  chunk 8  only headings have the words",
        "",
        "and 1 candidate ranked too low to be rescored: --json",
    ]


def test_a_terminal_gets_links() -> None:
    text = shown(types.SearchResult([PASSAGE]), terminal=True)
    assert ";file:///work/notes/guide.md#L14\x1b\\" in text
    assert "notes/guide.md:14" in plain(text)
    for name, page, place in (("a.pdf", 3, "#page=3"), ("a.pptx", 3, ""), ("a.xlsx", None, "")):
        found = replace(PASSAGE, path=f"/work/{name}", page=page)
        linked = shown(types.SearchResult([found]), terminal=True)
        assert f";file:///work/{name}{place}\x1b\\" in linked


def test_words_are_highlighted_by_their_stems() -> None:
    text = shown(types.SearchResult([PASSAGE]), terminal=True, words="what does an engine need")
    assert "\x1b[1;33mengines\x1b[0m" in text
    assert "\x1b[1;33mneed\x1b[0m" in text
    assert "\x1b[1;33mNothing" not in text


def test_a_snippet_shows_the_lines_with_the_words() -> None:
    text = "\n".join([f"line {n}" for n in range(40)] + ["the zebra crossing"])
    snippet = shown(types.SearchResult([replace(PASSAGE, text=text)]), words="zebra")
    assert "zebra" in snippet
    assert "line 1\n" not in snippet


def test_page_and_staleness_are_shown_with_the_location() -> None:
    found = types.SearchResult([replace(PASSAGE, page=3, stale=True)])
    text = plain(shown(found, terminal=True))
    assert text.startswith("1. notes/guide.md:14  page 3  changed since it was indexed\n")


def test_an_answer_shows_what_its_gate_did() -> None:
    gate = types.GateStats(0.12, 0.4, refused=True)
    text = shown(replace(ANSWER, stats=replace(ANSWER.stats, gate=gate)))
    assert "llama was 12% sure that the sources have the answer (it answers above 40%)." in text


def test_an_answer_without_a_model_shows_the_passages_themselves() -> None:
    text = shown(replace(ANSWER, mode="passages_only"))
    assert "The engines need Python." in text
    assert "Sources" not in text


def test_uncited_passages_are_not_called_sources() -> None:
    text = shown(replace(ANSWER, citations=[citation(1, cited=False)]))
    assert "Closest passages\n[1] notes/guide.md:12" in text


def test_a_report_lists_every_failed_file_but_only_some_skipped_ones() -> None:
    text = shown(REPORT)
    assert f"{LONG_PATH}\n    it is encrypted" in text
    assert "and 4 more files: allma documents --state skipped" in text


def test_markup_is_shown_literally() -> None:
    assert "About [red]engines[/red]" in shown(types.ConversationPage([CHAT], 1), terminal=True)


@pytest.mark.parametrize("result", RESULTS, ids=lambda r: type(r).__name__)
def test_control_characters_do_not_reach_a_terminal(result: object) -> None:
    evil = "\x1b]0;title\x07\x9b31m"
    text = shown(_spoil(result, evil), terminal=True)
    assert "\x1b]0;" not in text
    assert "\x9b" not in text


@pytest.mark.parametrize("result", RESULTS, ids=lambda r: type(r).__name__)
def test_a_file_name_is_one_line_without_direction_marks(result: object) -> None:
    spoilt = _misname(result, "\n2. /forged:1\u202e\u2066\r")
    texts = [shown(spoilt), shown(spoilt, terminal=True)]
    if type(result) in FOR_MODELS:
        texts.append(as_text(spoilt))
    for text in texts:
        assert not re.search("^[^/]*2. /forged|[\u202e\u2066\r]", plain(text), re.M)


FOR_MODELS = {
    kind
    for returned in (get_type_hints(operation.run)["return"] for operation in BY_NAME.values())
    for kind in get_args(returned) or (returned,)
}


def _misname(value: Any, evil: str) -> Any:
    """The value with something evil at the end of each path."""
    if isinstance(value, list):
        return [_misname(each, evil) for each in value]
    if hasattr(value, "__dataclass_fields__"):
        return replace(
            value,
            **{
                name: old + evil
                if name in ("path", "file", "data_dir", "backup") and isinstance(old, str)
                else _misname(old, evil)
                for name in value.__dataclass_fields__
                for old in (getattr(value, name),)
            },
        )
    return value


def _spoil(value: Any, evil: str) -> Any:
    """The value with something evil at the end of each of its strings but times and states."""
    if isinstance(value, list):
        return [_spoil(each, evil) for each in value]
    if hasattr(value, "__dataclass_fields__"):
        kept = {"state", "mode", "role", "source"}
        names = [name for name in value.__dataclass_fields__ if name not in kept]
        return replace(value, **{name: _spoil(getattr(value, name), evil) for name in names})
    return value + evil if isinstance(value, str) and not value.endswith("Z") else value


@pytest.mark.parametrize("result", RESULTS, ids=lambda r: type(r).__name__)
def test_a_terminal_without_unicode_shows_ascii_symbols(result: object) -> None:
    buffer = io.BytesIO()
    with io.TextIOWrapper(buffer, encoding="ascii", errors="allma") as file:
        page = Page(Output(file, is_terminal=True, width=40), "/work", "engine")
        for item in view(result, page):
            page.print(item)
        file.flush()
        assert b"?" not in buffer.getvalue()


@pytest.fixture(autouse=True)
def prepared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    for name in ("VTE_VERSION", "KITTY_WINDOW_ID", "TERM_PROGRAM"):
        monkeypatch.delenv(name, raising=False)
    streams.prepare()


@pytest.mark.parametrize(
    ("text", "written"),
    [("caf\udce9", b"caf\xe9"), ("✓ →", b"+ ->"), ("é", b"?")],
)
def test_any_text_can_be_printed_in_any_encoding(text: str, written: bytes) -> None:
    assert text.encode("ascii", "allma") == written


def test_the_modules_of_the_views_are_listed_by_their_types() -> None:
    for name, listed in MODULES.items():
        module = import_module(f"allma_server.cli.views.{name}")
        assert sorted(module.VIEWS) == sorted(listed.split())
