"""Run linters, type checker and a search for unused code as tests."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from vulture import Vulture

ROOT = Path(__file__).parent.parent
LONGEST_FUNCTION = 48
LONGEST_MODULE = 500

ALLOWED_UNUSED = {
    "called or read by a library": {
        "CharacterDataHandler", "CommentHandler", "DefaultHandler", "EndElementHandler",
        "EntityDeclHandler", "StartElementHandler", "__signature__", "_create_text_document",
        "apply_change", "capture_signals", "document_link_provider", "enable_cpr",
        "enable_cpu_mem_arena", "execute_command_provider", "find_class", "format_commands",
        "format_epilog", "get_completions_async", "hover_provider", "inter_op_num_threads",
        "intra_op_num_threads", "log_severity_level", "lsp_exit", "lsp_shutdown",
        "lsp_workspace__execute_command", "model_config", "on_broken_pipe", "ordered_attributes",
        "pause_reading", "report_server_error", "resume_reading", "row_factory",
        "send_400_response", "should_exit", "workspace_symbol_provider",
        "MAX_IMAGE_PIXELS",
    },
    "what the language passes or calls": {"__getattr__", "tb"},
    "what the registry of protocols names": {"serve_shell"},
    "what clients read in a result": {"indexed_at", "relevance_score", "total_ms"},
    "what annotations in quotes name": {"Reader"},
    "what tests observe": {"generating", "pids", "wait_until_embedded", "wait_until_ready",
        "wait_until_recognised"},
}  # fmt: skip
"""Names without a use that is visible in the code, by who uses them."""

CALLED_BY_DECORATORS = [
    "@command", "@*.command", "@*.callback", "@*.register", "@field_validator", "@keys.add",
]  # fmt: skip


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "command",
    [
        ["ruff", "check", "--no-cache"],
        ["ruff", "format", "--check", "--no-cache"],
        # With the interpreter, it finds the packages without an activated environment.
        ["pyright", "--pythonpath", sys.executable],
    ],
    ids=lambda command: " ".join(command[:2]),
)
def test_linters_pass(command: list[str]) -> None:
    program = Path(sys.executable).parent / command[0]
    done = subprocess.run(
        [str(program), *command[1:]], cwd=ROOT, capture_output=True, text=True, timeout=280
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def unused() -> dict[str, str]:
    """Return reports of names that neither the package nor the extensions use, by name."""
    vulture = Vulture(ignore_decorators=CALLED_BY_DECORATORS)
    vulture.scavenge(
        [str(ROOT / "allma_server"), str(ROOT / "extensions")], exclude=["*/node_modules/*"]
    )
    keys = _keys()
    # Ruff finds unused imports, and considers quoted annotations.
    return {
        item.name: item.get_report()
        for item in vulture.get_unused_code()
        if item.typ != "import" and (item.name, str(item.filename)) not in keys
    }


def _keys() -> set[tuple[str, str]]:
    """The keys of each TypedDict, with its file; code uses them as strings."""
    return {
        (field.target.id, str(path))
        for path in (ROOT / "allma_server").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.ClassDef) and "TypedDict" in map(ast.unparse, node.bases)
        for field in node.body
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
    }


def test_all_code_is_used(unused: dict[str, str]) -> None:
    allowed = set[str]().union(*ALLOWED_UNUSED.values())
    assert [report for name, report in unused.items() if name not in allowed] == []


def test_no_exception_for_unused_code_is_obsolete(unused: dict[str, str]) -> None:
    allowed = set[str]().union(*ALLOWED_UNUSED.values())
    assert allowed - unused.keys() == set(), "remove them from ALLOWED_UNUSED"


def _functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def test_functions_are_short() -> None:
    assert [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"
        for path in sorted((ROOT / "allma_server").rglob("*.py"))
        for node in _functions(path)
        if (node.end_lineno or node.lineno) - node.lineno >= LONGEST_FUNCTION
    ] == []


def test_modules_are_short() -> None:
    assert [
        str(path.relative_to(ROOT))
        for path in sorted((ROOT / "allma_server").rglob("*.py"))
        if len(path.read_text("utf-8").splitlines()) > LONGEST_MODULE
    ] == []
