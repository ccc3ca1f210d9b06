from pathlib import Path, PurePath

import pytest

from allma_server.documents.chunking import ChunkSettings, chunk
from allma_server.documents.grammars import GRAMMARS, load_grammar
from allma_server.documents.readers import code as code_reader
from allma_server.errors import NothingToIndex
from allma_server.types import LANGUAGES, Extract, format_of


def read(source: str, name: str) -> Extract:
    extract = code_reader.read(source.encode(), PurePath(name))
    joined = "".join(extract.text[s.start : s.end] for s in extract.sections)
    assert joined == extract.text, "sections cover the file, in order"
    return extract


def symbols(source: str, name: str) -> list[str]:
    return [".".join(s.heading) for s in read(source, name).sections if s.heading]


PYTHON = '''\
"""What the module is for."""
import os

LIMIT = 3


# Why there is a shape.
@dataclass
class Shape:
    """A shape."""

    sides: int

    # Why it is a property.
    @property
    def area(self) -> float:
        def inner() -> float:
            return 1.0

        return inner()

    async def draw(self) -> None: ...


def main() -> None:
    print(Shape(3))


if __name__ == "__main__":
    main()
'''

CASES = {
    "a.py": (PYTHON, ["Shape", "Shape.area", "Shape.draw", "main"]),
    "a.js": (
        "export class A {\n  m() {}\n}\nconst f = (x) => x\nmodule.exports.g = function () {}\n",
        ["A", "A.m", "f", "module.exports.g"],
    ),
    "a.ts": (
        (
            "namespace N {\n  export interface I {\n    a(): void\n  }\n}\n"
            "export abstract class C<T> {\n  private m(): void {}\n}\ntype T = string;\n"
        ),
        ["N", "N.I", "C", "C.m", "T"],
    ),
    "a.tsx": ("export const View = () => <p>hi</p>\nfunction g() {}\n", ["View", "g"]),
    "a.java": (
        (
            "package p;\n\npublic class C {\n  int x;\n\n  C() {}\n\n  void m() {}\n\n"
            "  enum E {\n    A\n  }\n}\n"
        ),
        ["C", "C.C", "C.m", "C.E"],
    ),
    "a.go": (
        "package a\n\n// Do does.\nfunc (s *Srv[T]) Do() {}\n\ntype X struct {\n\ta int\n}\n",
        ["Srv.Do", "X"],
    ),
    "a.rs": (
        (
            "/// A doc.\n#[derive(Debug)]\nstruct S {\n    a: i32,\n}\n\nimpl<T> Tr for S {\n"
            "    fn m(&self) {}\n}\n\nmod tests {\n    fn t() {}\n}\n"
        ),
        ["S", "S", "S.m", "tests", "tests.t"],
    ),
    "a.c": (
        (
            "struct stat s;\n\nstatic int *find(int a) {\n  return 0;\n}\n\n"
            "typedef struct {\n  int a;\n} T;\n\n#ifdef X\nint bar(void) {\n}\n#endif\n"
        ),
        ["find", "T", "bar"],
    ),
    "a.cpp": (
        (
            "namespace a {\ntemplate <class T>\nclass C {\n public:\n  void m() {}\n};\n}\n\n"
            "void a::C::n() {}\n"
        ),
        ["a", "a.C", "a.C.m", "a::C::n"],
    ),
    "a.cs": (
        (
            "namespace A.B {\n  [Attr]\n  public class C {\n    public C() {}\n    void M() {}\n"
            "    int P { get; }\n  }\n}\n"
        ),
        ["A.B", "A.B.C", "A.B.C.C", "A.B.C.M", "A.B.C.P"],
    ),
    "a.rb": (
        "module M\n  class C < D\n    def a\n    end\n\n    def self.b\n    end\n  end\nend\n",
        ["M", "M.C", "M.C.a", "M.C.b"],
    ),
    "a.php": (
        "<?php\nnamespace A;\n/** Doc. */\nclass C {\n  function m() {}\n}\nfunction f() {}\n",
        ["C", "C.m", "f"],
    ),
    "a.sh": ("set -e\nf() {\n  echo\n}\nfunction g {\n  echo\n}\n", ["f", "g"]),
}


@pytest.mark.parametrize("name", CASES)
def test_sections_follow_definitions(name: str) -> None:
    source, expected = CASES[name]
    assert symbols(source, name) == expected


def test_every_grammar_can_be_loaded() -> None:
    from tree_sitter import Language

    assert GRAMMARS.keys() == LANGUAGES.keys()
    assert all(Language(load_grammar(name)).abi_version for name in GRAMMARS)


def test_comments_and_decorators_belong_to_the_following_definition() -> None:
    extract = read(PYTHON, "a.py")
    text = {s.heading: extract.text[s.start : s.end] for s in extract.sections if s.heading}
    assert text["Shape",].startswith("# Why there is a shape.\n@dataclass\nclass Shape:")
    assert text["Shape", "area"].startswith("    # Why it is a property.\n    @property")
    assert "def inner" in text["Shape", "area"], "inner functions stay inside"


def test_a_comment_at_the_top_stays_with_the_imports() -> None:
    extract = read("# Licence.\n\nimport os\n\n\ndef f():\n    pass\n", "a.py")
    assert extract.sections[0].heading == ()
    assert extract.text[: extract.sections[0].end].startswith("# Licence.\n\nimport os")


def test_syntax_errors_do_not_fail_the_file() -> None:
    assert "good" in symbols("def broken(:\n\n\ndef good():\n    return 1\n", "a.py")
    assert read("class { ] def ((\n" * 50, "a.java").text


def test_non_ascii_text_does_not_shift_the_sections() -> None:
    extract = read('x = "äöü 漢字 👍"\n\n\ndef größe():\n    return "é"\n', "a.py")
    section = extract.sections[-1]
    assert section.heading == ("größe",)
    assert extract.text[section.start :].startswith("def größe")


def test_languages_without_a_grammar_keep_their_lines() -> None:
    extract = read("main :: IO ()\nmain = pure ()\n", "a.hs")
    assert [(s.kind, s.heading) for s in extract.sections] == [("code", ())]


def test_minified_code_is_not_parsed() -> None:
    extract = read("function f(a){return a}" * 5000, "a.js")
    assert [s.heading for s in extract.sections] == [()]


def test_an_empty_file_has_nothing_to_index() -> None:
    with pytest.raises(NothingToIndex):
        code_reader.read(b" \n\n", PurePath("__init__.py"))


def test_chunks_hold_whole_functions_and_small_ones_share_a_chunk() -> None:
    methods = "".join(f"    def m{i}(self):\n        return {i}\n\n" for i in range(6))
    big = "def big():\n" + "".join(f"    call_{i}(argument_{i})\n" for i in range(80))
    extract = read(f"class C:\n{methods}\n{big}", "a.py")
    first, *rest = chunk(extract, "", ChunkSettings(1000, 200, 2000))
    assert first.heading == ("C",) and "m0" in first.text and "m5" in first.text
    assert len(rest) > 1
    assert {c.heading for c in rest} == {("big",)}
    assert {c.context for c in rest} == {"big"}


def test_real_sources_of_many_kinds_are_read(shared_data: Path) -> None:
    paths = [
        path
        for path in sorted((shared_data / "documents" / "code").glob("*"))
        if format_of(path) == "code"
    ]
    for path in paths:
        extract = code_reader.read(path.read_bytes(), path)
        assert extract.text == "".join(extract.text[s.start : s.end] for s in extract.sections)
        assert chunk(extract, "", ChunkSettings(max_tokens=2000))
