"""What is wrong with a value that pydantic refused, as people say it."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo
    from pydantic_core import ErrorDetails

_KINDS = {
    "int": "a whole number",
    "float": "a number",
    "finite": "a number",
    "bool": "true or false",
    "string": "a string",
    "list": "a list",
    "path": "a path",
}
_BOUNDS = {"greater_than_equal", "greater_than", "less_than_equal", "less_than"}


def requirement(error: "ErrorDetails", field: "FieldInfo | None") -> str:
    """Return the requirement that a value violates, such as "must be between 1 and 50".

    `field`: the field that refused the value, whose limits are named.
    """
    kind: str = error["type"]
    context: dict[str, object] = error.get("ctx", {})
    word = _KINDS.get(kind.split("_")[0])
    if kind in _BOUNDS:
        return f"must be {_range(field)}"
    if word is not None and kind.endswith(("_type", "_parsing", "_from_float", "_number")):
        return f"must be {' '.join(filter(None, (word, _range(field))))}"
    match kind:
        case "literal_error":
            return f"must be {context['expected']}"
        case "string_too_long":
            return f"must have at most {context['max_length']} characters"
        case "too_short":
            items = "item" if context["min_length"] == 1 else "items"
            return f"must have at least {context['min_length']} {items}"
        case "value_error":
            return f"is not valid: {context['error']}"
        case _:
            return f"is not valid: {error['msg']}"


def _range(field: "FieldInfo | None") -> str:
    """Return the limits of a number, or nothing where it has none."""
    limits: dict[str, object] = {}
    for mark in field.metadata if field is not None else ():
        for name in ("ge", "gt", "le", "lt"):
            if (limit := getattr(mark, name, None)) is not None:
                limits[name] = limit
    match limits:
        case {"ge": least, "le": most}:
            return f"between {least:g} and {most:g}"
        case {"gt": above, "le": most}:
            return f"above {above:g} and at most {most:g}"
        case {"ge": least}:
            return f"at least {least:g}"
        case {"gt": above}:
            return f"above {above:g}"
        case {"le": most}:
            return f"at most {most:g}"
        case _:
            return ""
