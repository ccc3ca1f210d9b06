"""Rules of ARCHITECTURE.md that can be checked automatically."""

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from allma_server import errors, types

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "allma_server"

# Packages from the top down. A module may import from its own package and from those below it.
LAYERS: list[set[str]] = [
    {"__main__"},
    {"cli", "protocols", "daemon"},
    {"operations"},
    {"diagnostics", "integrations"},
    {"engine"},
    {"active_embedder"},
    {"indexing", "search", "answering"} | {"documents", "providers", "storage"},
    {"secrets"},
    {"ports", "config"},
    {"locations"},
    {"types", "errors"},
    {"_internal"},
]
VERBS = {"indexing", "search", "answering"}
PROVIDERS = {"documents", "providers", "storage"}
INTERNAL_MAY_IMPORT = {"_internal", "types", "errors", "locations"}

# The only modules that may import each third-party library.
HOMES: dict[str, set[str]] = {
    "aiosqlite": {"storage"},
    "sqlite3": {"storage"},
    "chardet": {"documents/readers/decoding.py"},
    "chromadb": {"storage/vectors/stores/chroma_worker.py"},
    "docx": {"documents/readers/docx.py"},
    "httpcore": {"providers/http"},
    "grpc": {"storage/cluster"},
    "httpx": {"providers/http", "storage/cluster/failures.py"},
    "httpx_sse": {"providers/http", "providers/chat/openai.py"},
    "keyring": {"providers/api_keys.py"},
    "h11": {"protocols/http/listener.py"},
    "limits": {"protocols/http/access.py"},
    "lsprotocol": {"protocols/lsp"},
    "lxml": {"documents/readers"},
    "mcp": {"protocols/mcp"},
    "mcp_types": {"protocols/mcp"},
    "msgspec": {"protocols/shell/client.py"},
    "PIL": {"documents/pictures.py", "documents/ocr/page_images.py"},
    "onnxruntime": {"providers/onnx.py"},
    "platformdirs": {"locations.py"},
    "prompt_toolkit": {"cli/prompt.py"},
    "prometheus_client": {"protocols/http/metrics.py"},
    "pygls": {"protocols/lsp"},
    "pypdf": {"documents/readers/pdf_fallback.py"},
    "pypdfium2": {
        *(f"documents/readers/pdf{part}.py" for part in ("", "_text", "_outline")),
        "documents/ocr/page_images.py",
    },
    "rapidocr": {"documents/ocr/recognisers/rapidocr.py"},
    "starlette": {"protocols/http"},
    "tantivy": {"storage/full_text"},
    "olefile": {"documents/readers/spreadsheet_records.py"},
    "oxmsg": {"documents/readers/msg.py"},
    "python_calamine": {"documents/readers/spreadsheet.py"},
    "striprtf": {"documents/readers/rtf.py"},
    "rich": {"cli", "cli.py"},
    "simsimd": {"storage/vectors/codes.py"},
    "semantic_text_splitter": {"documents/chunking/text_splitter.py"},
    "tokenizers": {"providers/onnx.py", "documents/chunking/token_counter.py"},
    "tomlkit": {"config.py", "cli", "cli.py", "integrations/toml.py"},
    "trafilatura": {"documents/readers/html_content.py"},
    "typer": {"cli", "cli.py"},
    "yaml": {"integrations/yaml.py"},
    "uvicorn": {"protocols/http/listener.py"},
    "weaviate": {"storage/cluster", "storage/shared", "storage/vectors/stores/weaviate.py"},
    "watchfiles": {"indexing/watch.py"},
}
BANNED_NAMES = re.compile(r"(Manager|Service|Helper|Handler|Util|Utils|Wrapper|Impl)$")
BANNED_MODULES = {"utils", "util", "helpers", "helper", "common", "base", "misc"}


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def imports(path: Path) -> Iterator[tuple[str, int]]:
    """Yield the absolute names that a module imports, with their line numbers."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno} imports relatively"
            yield node.module or "", node.lineno


def package_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def layer(name: str) -> int:
    for depth, packages in enumerate(LAYERS):
        if name in packages:
            return depth
    raise AssertionError(f"{name!r} is missing in LAYERS")


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_packages_import_only_packages_below_them(path: Path) -> None:
    here = package_of(path)
    if here == "__init__":
        return
    for name, line in imports(path):
        parts = name.split(".")
        if parts[0] != "allma_server" or len(parts) == 1 or parts[1] == here:
            continue
        there = parts[1]
        where = f"{path.relative_to(ROOT)}:{line} imports {name}"
        if here in LAYERS[-1]:
            assert there in INTERNAL_MAY_IMPORT or there in LAYERS[-1], where
            continue
        assert layer(there) > layer(here) or (layer(there) == layer(here) == 1), where
        assert not (here in VERBS and there in PROVIDERS), where
        assert not (here in PROVIDERS and there in VERBS | PROVIDERS), where


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_each_library_has_one_home(path: Path) -> None:
    here = str(path.relative_to(PACKAGE))
    for name, line in imports(path):
        homes = HOMES.get(name.split(".")[0])
        if homes is not None:
            at_home = any(here == home or here.startswith(f"{home}/") for home in homes)
            assert at_home, f"{here}:{line} imports {name}, whose home is {sorted(homes)}"


# Where a vector store may be named: its own files, the settings, and what switches telemetry off.
STORE_NAMES = {
    "config.py",
    "storage/vectors/config.py",
    "diagnostics/setting_checks.py",
    "_internal/telemetry.py",
}


def test_only_the_stores_and_the_settings_name_a_vector_store() -> None:
    for path in modules():
        here = path.relative_to(PACKAGE).as_posix()
        if here not in STORE_NAMES and not here.startswith("storage/vectors/stores/"):
            assert "chroma" not in path.read_text("utf-8").lower(), here


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_classes_and_modules_have_specific_names(path: Path) -> None:
    assert path.stem not in BANNED_MODULES
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ClassDef):
            assert not BANNED_NAMES.search(node.name), f"{path}:{node.lineno} {node.name}"


def test_the_errors_docstring_shows_the_class_tree() -> None:
    assert errors.__doc__ is not None
    drawn = re.findall(r"^ {4}([│ ├└─]*)(\w+)(?: +(\w+))?$", errors.__doc__, re.M)
    expected: list[tuple[int, str, str]] = []

    def visit(kind: type[errors.AllmaError], depth: int) -> None:
        expected.append((depth, kind.__name__, kind.code))
        for child in kind.__subclasses__():
            if child.__module__ == errors.__name__:
                visit(child, depth + 1)

    visit(errors.AllmaError, 0)
    found = [(len(indent) // 4, name, code or "error") for indent, name, code in drawn]
    assert found == expected


def test_error_codes_are_unique() -> None:
    kinds = [k for k in vars(errors).values() if isinstance(k, type)]
    codes = [k.code for k in kinds if issubclass(k, errors.AllmaError)]
    assert len(codes) == len(set(codes))


def test_types_exports_everything_that_its_modules_define() -> None:
    for name in types.__all__:
        getattr(types, name)  # imports its module
    modules = [m for m in vars(types).values() if inspect.ismodule(m)]
    assert {m.__name__.rpartition(".")[2] for m in modules} == {
        path.stem for path in (PACKAGE / "types").glob("[!_]*.py")
    }
    defined = {name for module in modules for name in _defined(module)}
    assert set(types.__all__) == {name for name in defined if not name.startswith("_")}


def test_type_checkers_see_the_types_where_they_are() -> None:
    tree = ast.parse((PACKAGE / "types" / "__init__.py").read_text("utf-8"))
    seen = {
        alias.name: (node.module or "").rpartition(".")[2]
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("allma_server")
        for alias in node.names
    }
    assert seen == types._MODULE_OF  # pyright: ignore[reportPrivateUsage]


def _defined(module: ModuleType) -> Iterator[str]:
    for node in ast.parse(inspect.getsource(module)).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            yield node.name
        elif isinstance(node, ast.Assign):
            yield from (target.id for target in node.targets if isinstance(target, ast.Name))


def test_the_top_level_has_no_other_entries() -> None:
    allowed = {
        "allma_server", "extensions", "tests", "pyproject.toml", "README.md", "LICENSE",
        "CHANGELOG.md", "ARCHITECTURE.md", "build", "dist",
    }  # fmt: skip
    assert {p.name for p in ROOT.iterdir() if not p.name.startswith(".")} <= allowed


def test_every_invariant_has_a_test() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text("utf-8").split("## Invariants")[1]
    numbers = {int(number) for number in re.findall(r"^(\d+)\. \*\*", text, re.M)}
    mark = re.compile(r"^@pytest\.mark\.invariant\((\d+)\)$", re.M)
    tests = [path.read_text("utf-8") for path in (ROOT / "tests").rglob("test_*.py")]
    marked = {int(number) for test in tests for number in mark.findall(test)}
    assert numbers == set(range(1, max(numbers) + 1))
    assert marked == numbers
