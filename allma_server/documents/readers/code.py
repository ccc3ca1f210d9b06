"""Source code: a section for each definition, with its symbol path as heading.

Languages with a tree-sitter grammar are split by their syntax; code in other languages is one
section.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import PurePath

from tree_sitter import Language, Node, Parser

from allma_server.documents.grammars import load_grammar
from allma_server.documents.readers.decoding import decode
from allma_server.documents.readers.text import clean, elide_base64, is_blank
from allma_server.errors import NothingToIndex
from allma_server.types import LANGUAGE_BY_SUFFIX, Extract, Section

# Nodes that define a symbol; containers also have the definitions inside them.
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
_NEED_BODY = frozenset(
    "class_specifier enum_specifier namespace_definition struct_specifier union_specifier".split()
)
# Nodes that define a symbol if their value is one of _FUNCTION_VALUES.
_ASSIGNMENTS = frozenset(
    "assignment_expression field_definition public_field_definition variable_declarator".split()
)
_FUNCTION_VALUES = frozenset("arrow_function class function_expression generator_function".split())
# Nodes that wrap one definition and belong to it, and nodes that contain several.
_WRAPPERS = frozenset(
    "ambient_declaration decorated_definition export_statement expression_statement "
    "lexical_declaration template_declaration variable_declaration".split()
)
_BODIES = frozenset(
    "block body_statement class_body declaration_list else_clause enum_body "
    "enum_body_declarations except_clause field_declaration_list foreign_mod_item if_statement "
    "interface_body linkage_specification preproc_else preproc_if preproc_ifdef singleton_class "
    "statement_block try_statement".split()
)
_COMMENTS = frozenset("attribute_item block_comment comment line_comment".split())
_MAX_DEPTH = 40
_REST_OF_LINE = re.compile(r"[^\w\n]*\n?")
_HAS_CONTENT = re.compile(r"\b(?!end\b)\w")
_RECEIVER = re.compile(r"(\w+)(?:\[[^\]]*\])?\s*\)$")
# Larger files are generated, and longer lines are minified: parsing them is slow and useless.
_MAX_CHARACTERS = 4_000_000
_MAX_MEAN_LINE = 250

Symbol = tuple[str, ...]


def read(data: bytes, path: PurePath) -> Extract:
    """Read source code of any language."""
    text = clean(elide_base64(decode(data)))
    if is_blank(text):
        raise NothingToIndex("The file is empty.")
    language = LANGUAGE_BY_SUFFIX.get(path.suffix.lower())
    if len(text) > min(_MAX_CHARACTERS, _MAX_MEAN_LINE * (text.count("\n") + 1)):
        language = None
    whole = Section(0, len(text), "code", language=language)
    sections = tuple(_sections(text, language)) if language else ()
    return Extract(text, sections or (whole,))


def _sections(text: str, language: str) -> Iterator[Section]:
    """Yield a section for each part that belongs to one symbol; together they cover the text."""
    source = text.encode("utf-8", "replace")
    root = Parser(Language(load_grammar(language))).parse(source).root_node
    boundaries = [(0, ()), *_boundaries(root, (), 0), (len(source), ())]
    open_section: Section | None = None
    for (start, heading), (end, _) in pairwise(_at_line_ends(text, source, boundaries)):
        if open_section and (start == end or not _HAS_CONTENT.search(text, start, end)):
            open_section = replace(open_section, end=end)  # closing brackets, blank lines
        elif start < end:
            if open_section:
                yield open_section
            open_section = Section(start, end, "code", heading, language=language)
    if open_section:
        yield open_section


def _boundaries(node: Node, path: Symbol, depth: int) -> Iterator[tuple[int, Symbol]]:
    """Yield the byte offsets where another symbol begins, in order."""
    lead: int | None = None  # the start of the comments directly above
    comment_end = 0
    for child in node.named_children:
        if child.start_point.row > comment_end + 1:
            lead = None
        if child.type in _COMMENTS:
            lead = child.start_byte if lead is None else lead
            comment_end = child.end_point.row
            continue
        start, lead = child.start_byte if lead is None else lead, None
        if name := _symbol_of(child):
            inner = (*path, *name)
            yield start, inner
            if child.type in _CONTAINERS and depth < _MAX_DEPTH:
                yield from _boundaries(child, inner, depth + 1)
            yield child.end_byte, path
        elif child.type in _WRAPPERS and depth < _MAX_DEPTH:
            boundaries = list(_boundaries(child, path, depth + 1))
            yield from (
                (start if i == 0 else byte, name) for i, (byte, name) in enumerate(boundaries)
            )
        elif child.type in _BODIES and depth < _MAX_DEPTH:
            yield from _boundaries(child, path, depth + 1)


def _symbol_of(node: Node) -> Symbol:
    """Return what `node` defines, such as ("parse",); empty if it is no definition."""
    kind = node.type
    if kind in _ASSIGNMENTS:
        value = node.child_by_field_name("value") or node.child_by_field_name("right")
        if value is None or value.type not in _FUNCTION_VALUES:
            return ()
    elif kind not in _LEAVES and kind not in _CONTAINERS:
        return ()
    elif kind in _NEED_BODY and node.child_by_field_name("body") is None:
        return ()  # `struct stat s;` uses a type and does not define it
    name = _name_of(node) or "".join(map(_name_of, node.named_children[:1]))
    receiver = node.child_by_field_name("receiver")
    owner = _RECEIVER.search(_node_text(receiver)) if receiver else None
    return ((owner[1],) if owner else ()) + ((name,) if name else ())


def _name_of(node: Node) -> str:
    fields = ("name", "declarator", "type", "left", "property")
    found = next((child for field in fields if (child := node.child_by_field_name(field))), None)
    while found and (inner := found.child_by_field_name("declarator")):
        found = inner
    return _node_text(found) if found else ""


def _node_text(node: Node) -> str:
    return " ".join((node.text or b"")[:200].decode("utf-8", "ignore").split())[:80]


def _at_line_ends(
    text: str, source: bytes, boundaries: Iterable[tuple[int, Symbol]]
) -> Iterator[tuple[int, Symbol]]:
    """Convert byte offsets to characters, and move them to line ends over white space."""
    offset = char = last = depth = 0
    for byte, path in boundaries:
        char += len(source[offset:byte].decode("utf-8", "ignore"))
        offset, at = byte, char
        line = text.rfind("\n", max(0, char - _MAX_MEAN_LINE), char) + 1
        rest = _REST_OF_LINE.match(text, char)
        if len(path) < depth and rest and rest[0].endswith("\n"):
            at = rest.end()
        elif line and text[line:char].isspace():
            at = line
        depth, last = len(path), max(last, at)
        yield last, path
