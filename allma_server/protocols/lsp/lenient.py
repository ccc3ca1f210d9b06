"""Messages with values that this revision of the protocol does not know: those are left out.

Clients of another revision declare kinds, formats and tags of their own. A message is refused only
where it makes no sense without such a value.
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
    data: dict[str, Any], failure: BaseException | None, *, enums_only: bool
) -> dict[str, Any]:
    """A copy of a message without the values that `failure`, raised by cattrs, complains of.

    It is equal to `data` where there are none. `enums_only` leaves values of a wrong type in: of a
    request that asks for something, they are not to be guessed at.
    """
    found = _paths(failure) if isinstance(failure, cattrs.BaseValidationError) else ()
    wrong = {_present(data, path) for path, is_enum in found if is_enum or not enums_only}
    kept = deepcopy(data)
    # From the end, so that the indexes of what is still to be removed stay right.
    for path in sorted(wrong, key=_order, reverse=True):
        *above, last = path or ("params",)
        # Without its parameters a message says nothing at all.
        if last != "params":
            del reduce(getitem, above, cast(Any, kept))[last]
    return kept


def _paths(failure: cattrs.BaseValidationError, above: Path = ()) -> Iterator[tuple[Path, bool]]:
    """Where the complaints are, and whether each is about the value of an enumeration."""
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
    """As much of a path as there is, in the names of JSON: what should hold the rest is wrong."""
    present: list[str | int] = []
    for step in path:
        key = _key(data, step)
        if key is None:
            break
        present.append(key)
        data = data[key]
    return tuple(present)


def _key(data: Any, step: str | int) -> str | int | None:
    """What `step` is called in JSON: lsprotocol names its attributes in snake_case."""
    if isinstance(data, list) and isinstance(step, int):
        return step if step < len(cast(list[Any], data)) else None
    if isinstance(data, dict):
        names = cast(dict[str, Any], data)
        return next((name for name in names if to_snake(name) == str(step).rstrip("_")), None)
    return None
