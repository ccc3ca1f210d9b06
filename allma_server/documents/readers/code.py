"""Source code: a section per definition, headed by its symbol path.

Languages with a tree-sitter grammar are taken apart along their syntax; of the others the lines
are kept as they are.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import PurePath
from typing import TYPE_CHECKING

from allma_server.documents.grammars import grammar
from allma_server.documents.readers.decoding import decode
from allma_server.documents.readers.text import clean, is_blank, without_blobs
from allma_server.errors import NothingToIndex
from allma_server.types import LANGUAGE_BY_SUFFIX, Extract, Section

if TYPE_CHECKING:
    from tree_sitter import Node

# What has a symbol of its own; so have the definitions inside of a container.
_CONTAINERS = frozenset(
    "abstract_class_declaration annotation_type_declaration class class_declaration "
    "class_definition class_specifier enum_declaration enum_item enum_specifier impl_item "
    "interface_declaration internal_module mod_item module namespace_declaration "
    "namespace_definition record_declaration struct_declaration struct_item struct_specifier "
    "trait_declaration trait_item union_specifier".split()
)
_LEAVES = frozenset(
    "constructor_declaration delegate_declaration destructor_declaration function_declaration "
    "function_definition function_item "
    "generator_function_declaration macro_definition method method_declaration method_definition "
    "operator_declaration property_declaration singleton_method "
    "type_alias_declaration type_declaration type_definition type_item".split()
)
_WITH_BODY = frozenset(
    "class_specifier enum_specifier namespace_definition struct_specifier union_specifier".split()
)
# A definition when their value is one of _VALUES.
_ASSIGNMENTS = frozenset(
    "assignment_expression field_definition public_field_definition variable_declarator".split()
)
_VALUES = frozenset("arrow_function class function_expression generator_function".split())
# What stands around one definition and belongs to it, and around several.
_SHELLS = frozenset(
    "ambient_declaration decorated_definition export_statement expression_statement "
    "lexical_declaration template_declaration variable_declaration".split()
)
_BODIES = frozenset(
    "block body_statement class_body declaration_list else_clause enum_body "
    "enum_body_declarations except_clause field_declaration_list foreign_mod_item if_statement "
    "interface_body linkage_specification preproc_else preproc_if preproc_ifdef singleton_class "
    "statement_block try_statement".split()
)
_LEADING = frozenset("attribute_item block_comment comment line_comment".split())
_DEEPEST = 40
_REST_OF_LINE = re.compile(r"[^\w\n]*\n?")
_SUBSTANCE = re.compile(r"\b(?!end\b)\w")
_RECEIVER = re.compile(r"(\w+)(?:\[[^\]]*\])?\s*\)$")
# Beyond these it is generated or minified: its syntax tree costs much and says little.
_LARGEST = 4_000_000
_MEAN_LINE = 250

Symbol = tuple[str, ...]


def read(data: bytes, path: PurePath) -> Extract:
    """Read source code of any language."""
    text = clean(without_blobs(decode(data)))
    if is_blank(text):
        raise NothingToIndex("The file is empty.")
    language = LANGUAGE_BY_SUFFIX.get(path.suffix.lower())
    if len(text) > min(_LARGEST, _MEAN_LINE * (text.count("\n") + 1)):
        language = None
    whole = Section(0, len(text), "code", language=language)
    sections = tuple(_sections(text, language)) if language else ()
    return Extract(text, sections or (whole,))


def _sections(text: str, language: str) -> Iterator[Section]:
    """A section for each stretch that belongs to one symbol; together they cover the text."""
    # A twentieth of a second that other formats need not pay.
    from tree_sitter import Language, Parser

    source = text.encode("utf-8", "replace")
    root = Parser(Language(grammar(language))).parse(source).root_node
    marks = [(0, ()), *_marks(root, (), 0), (len(source), ())]
    open_section: Section | None = None
    for (start, heading), (end, _) in pairwise(_placed(text, source, marks)):
        if open_section and (start == end or not _SUBSTANCE.search(text, start, end)):
            open_section = replace(open_section, end=end)  # closing brackets, blank lines
        elif start < end:
            if open_section:
                yield open_section
            open_section = Section(start, end, "code", heading, language=language)
    if open_section:
        yield open_section


def _marks(node: "Node", path: Symbol, depth: int) -> Iterator[tuple[int, Symbol]]:
    """The bytes from which on the source belongs to another symbol, in order."""
    lead: int | None = None  # where the comments directly above begin
    comment_end = 0
    for child in node.named_children:
        if child.start_point.row > comment_end + 1:
            lead = None
        if child.type in _LEADING:
            lead = child.start_byte if lead is None else lead
            comment_end = child.end_point.row
            continue
        start, lead = child.start_byte if lead is None else lead, None
        if name := _symbol(child):
            inner = (*path, *name)
            yield start, inner
            if child.type in _CONTAINERS and depth < _DEEPEST:
                yield from _marks(child, inner, depth + 1)
            yield child.end_byte, path
        elif child.type in _SHELLS and depth < _DEEPEST:
            marks = list(_marks(child, path, depth + 1))
            yield from ((start if i == 0 else byte, name) for i, (byte, name) in enumerate(marks))
        elif child.type in _BODIES and depth < _DEEPEST:
            yield from _marks(child, path, depth + 1)


def _symbol(node: "Node") -> Symbol:
    """What `node` defines, such as ("parse",); empty if it is no definition."""
    kind = node.type
    if kind in _ASSIGNMENTS:
        value = node.child_by_field_name("value") or node.child_by_field_name("right")
        if value is None or value.type not in _VALUES:
            return ()
    elif kind not in _LEAVES and kind not in _CONTAINERS:
        return ()
    elif kind in _WITH_BODY and node.child_by_field_name("body") is None:
        return ()  # `struct stat s;` names a type, it does not define one
    name = _name(node) or "".join(map(_name, node.named_children[:1]))
    receiver = node.child_by_field_name("receiver")
    owner = _RECEIVER.search(_shown(receiver)) if receiver else None
    return ((owner[1],) if owner else ()) + ((name,) if name else ())


def _name(node: "Node") -> str:
    fields = ("name", "declarator", "type", "left", "property")
    found = next((child for field in fields if (child := node.child_by_field_name(field))), None)
    while found and (inner := found.child_by_field_name("declarator")):
        found = inner
    return _shown(found) if found else ""


def _shown(node: "Node") -> str:
    return " ".join((node.text or b"")[:200].decode("utf-8", "ignore").split())[:80]


def _placed(
    text: str, source: bytes, marks: Iterable[tuple[int, Symbol]]
) -> Iterator[tuple[int, Symbol]]:
    """`marks` in characters, moved to the nearest ends of lines if nothing stands between."""
    offset = char = placed = depth = 0
    for byte, path in marks:
        char += len(source[offset:byte].decode("utf-8", "ignore"))
        offset, at = byte, char
        line = text.rfind("\n", max(0, char - _MEAN_LINE), char) + 1
        rest = _REST_OF_LINE.match(text, char)
        if len(path) < depth and rest and rest[0].endswith("\n"):
            at = rest.end()
        elif line and text[line:char].isspace():
            at = line
        depth, placed = len(path), max(placed, at)
        yield placed, path
