"""Terms of paths, by which an inverted index narrows a search to folders, names and formats.

A document's terms are `below:` each folder that contains it, `file:` its path, `folder:` and
`name:` for the parts of its path, `suffix:` for each ending of such a part, and `format:`. Globs,
which are .gitignore patterns, become conditions on them, as far as they can.
"""

import itertools
import os
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from allma_server.types.document_sets import TermFilter, Terms

_WILDCARD = re.compile(r"[*?\[\\]")


def path_terms(path: str, format: str) -> Terms:
    """Return the terms of a document with this absolute path."""
    folder, name = os.path.split(path)
    terms = {f"file:{path}", f"name:{name}", f"format:{format}", *_suffixes(name)}
    while folder and f"below:{folder}" not in terms:
        terms.add(f"below:{folder}")
        folder, part = os.path.split(folder)
        if part:
            terms.add(f"folder:{part}")
            terms.update(_suffixes(part))
    return frozenset(terms)


def folder_filter(folders: Iterable[str]) -> TermFilter:
    """Return the condition of being one of these files, or inside one of these folders."""
    places = [place.rstrip(os.sep) or place for place in folders]
    found = [frozenset({f"{kind}:{place}"}) for place in places for kind in ("below", "file")]
    return TermFilter(tuple(found))


def format_filter(formats: Collection[str]) -> TermFilter:
    """Return the condition of being of one of these formats."""
    found = tuple(frozenset({f"format:{each}"}) for each in sorted(formats))
    return TermFilter(found, complete=bool(found))


def glob_filter(
    included: Sequence[str], excluded: Sequence[str], workspaces: Sequence[str]
) -> TermFilter:
    """Return what follows from matching one of `included`, if any, and none of `excluded`.

    Args:
        included: .gitignore patterns; empty: all paths.
        excluded: .gitignore patterns.
        workspaces: the folders that the patterns are relative to.
    """
    above = _terms_above(workspaces)
    any_of = [_conditions(pattern, workspaces, above) for pattern in included]
    none_of = [_conditions(pattern, workspaces, above) for pattern in excluded]
    alternatives = [terms for each in any_of for terms in each.alternatives]
    if not all(alternatives):  # one of them matches any path
        alternatives = []
    exceptions = [terms for each in none_of if each.exact for terms in each.alternatives if terms]
    return TermFilter(
        tuple(dict.fromkeys(alternatives)),
        tuple(dict.fromkeys(exceptions)),
        complete=all(each.exact for each in (*any_of, *none_of)),
    )


@dataclass(frozen=True, slots=True)
class _Conditions:
    """A matching document has all terms of an alternative; with `exact`, no other document has."""

    alternatives: list[Terms]
    exact: bool


def _conditions(pattern: str, workspaces: Sequence[str], above: Terms) -> _Conditions:
    body = pattern.rstrip("/")
    while body.startswith("**/"):
        body = body[3:]
    only_folders = pattern.endswith("/")
    if "/" not in body:
        return _of_name(body, above, only_folders=only_folders)
    contents = body.endswith("/**")
    parts = (body[:-3] if contents else body).strip("/").split("/")
    literal = list(itertools.takewhile(lambda part: not _WILDCARD.search(part), parts))
    ending = frozenset[str]() if contents else _suffix_terms(parts[-1])
    if not literal or pattern.startswith("**/"):
        return _Conditions([ending], exact=False)
    places = _places(literal, workspaces, absolute=pattern.startswith("/"))
    if len(literal) < len(parts):
        return _Conditions([frozenset({f"below:{each}"}) | ending for each in places], exact=False)
    kinds = ("below",) if contents or only_folders else ("below", "file")
    return _Conditions(
        [frozenset({f"{kind}:{each}"}) for each in places for kind in kinds], exact=True
    )


def _of_name(name: str, above: Terms, *, only_folders: bool) -> _Conditions:
    """Return the conditions of a pattern without a folder, which any part of a path may match."""
    if name in ("", "*", "**"):
        return _Conditions([frozenset()], exact=not only_folders)
    if not _WILDCARD.search(name):
        kinds = ("folder",) if only_folders else ("folder", "name")
        found = [frozenset({f"{kind}:{name}"}) for kind in kinds]
        return _Conditions(found, exact=above.isdisjoint(found[0]))
    ending = _suffix_terms(name)
    exact = (
        ending == frozenset({f"suffix:{name[1:]}"})
        and above.isdisjoint(ending)
        and not only_folders
    )
    return _Conditions([ending], exact)


def _suffix_terms(name: str) -> Terms:
    """Return the ending of every name that matches; empty if they have none in common."""
    before, star, rest = name.rpartition("*")
    if not star or _WILDCARD.search(rest) or "." not in rest or "\\" in before:
        return frozenset()
    return frozenset({f"suffix:{rest[rest.index('.') :]}"})


def _suffixes(name: str) -> Iterator[str]:
    return (f"suffix:{name[dot.start() :]}" for dot in re.finditer(r"\.", name))


def _terms_above(workspaces: Sequence[str]) -> Terms:
    """Return the terms that documents have because of the folders above their workspace."""
    above = [path_terms(os.path.dirname(each.rstrip(os.sep)), "") for each in workspaces]
    named = [os.path.basename(os.path.dirname(each.rstrip(os.sep))) for each in workspaces]
    return frozenset[str]().union(*above, (f"folder:{name}" for name in named))


def _places(literal: Sequence[str], workspaces: Sequence[str], *, absolute: bool) -> list[str]:
    """Return where this relative path may be: below a workspace, or beginning with its name."""
    below = os.sep.join(literal)
    found = [os.sep + below] if absolute else []
    for workspace in workspaces:
        root = workspace.rstrip(os.sep)
        found.append(root + os.sep + below)
        if os.path.basename(root) == literal[0]:
            found.append(os.path.dirname(root).rstrip(os.sep) + os.sep + below)
    return found
