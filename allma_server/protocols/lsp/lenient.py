"""Remove values that this revision of LSP does not know from messages.

Clients of other revisions declare kinds, formats and tags of their own. A message is refused only
if it is invalid without such a value.
"""

from collections.abc import Iterator
from copy import deepcopy
from functools import reduce
from operator import getitem
from typing import Any, cast

import cattrs
from pydantic.alias_generators import to_snake

Path = tuple[str | int, ...]


def without_unknown_values(
    data: dict[str, object], failure: BaseException | None, *, enums_only: bool
) -> dict[str, object]:
    """Return a copy of a message without the values that `failure`, raised by cattrs, names.

    The copy equals `data` if it names none. `enums_only` removes unknown enumeration values only,
    not values of a wrong type: a request must not be guessed at.
    """
    found = _paths(failure) if isinstance(failure, cattrs.BaseValidationError) else ()
    wrong = {_present(data, path) for path, is_enum in found if is_enum or not enums_only}
    kept = deepcopy(data)
    # From the end, so that the remaining indexes stay valid.
    for path in sorted(wrong, key=_order, reverse=True):
        *above, last = path or ("params",)
        # A message without its parameters means nothing.
        if last != "params":
            del reduce(getitem, above, cast(Any, kept))[last]
    return kept


def _paths(failure: cattrs.BaseValidationError, above: Path = ()) -> Iterator[tuple[Path, bool]]:
    """Return the paths of the invalid values, each with whether it is an enumeration value."""
    for cause in failure.exceptions:
        steps: list[str | int] = []
        for note in getattr(cause, "__notes__", ()):
            if isinstance(note, cattrs.AttributeValidationNote):
                steps.append(note.name)
            elif isinstance(note, cattrs.IterableValidationNote):
                steps.append(note.index)
        here = (*above, *steps)
        if isinstance(cause, cattrs.BaseValidationError):
            yield from _paths(cause, here)
        else:
            yield here, isinstance(cause, ValueError) and " is not a valid " in str(cause)


def _order(path: Path) -> list[tuple[int, str]]:
    return [(step, "") if isinstance(step, int) else (-1, step) for step in path]


def _present(data: Any, path: Path) -> Path:
    """Return the existing part of a path, in JSON names: the value there should hold the rest."""
    present: list[str | int] = []
    for step in path:
        key = _key(data, step)
        if key is None:
            break
        present.append(key)
        data = data[key]
    return tuple(present)


def _key(data: Any, step: str | int) -> str | int | None:
    """Return the JSON key of `step`: lsprotocol names its attributes in snake_case."""
    if isinstance(data, list) and isinstance(step, int):
        return step if step < len(cast(list[Any], data)) else None
    if isinstance(data, dict):
        names = cast(dict[str, object], data)
        return next((name for name in names if to_snake(name) == str(step).rstrip("_")), None)
    return None
