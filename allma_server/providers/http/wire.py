"""Base types for the JSON of model servers."""

from typing import Annotated, Any, cast

from pydantic import BaseModel, BeforeValidator, model_validator

_MAX_COUNT = 1 << 40


class WireModel(BaseModel):
    """A JSON object in which null means the same as a missing key."""

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {k: v for k, v in cast(dict[Any, Any], value).items() if v is not None}


def known_count(value: Any) -> int | None:
    """Return a JSON value if it is a plausible count, else None."""
    known = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _MAX_COUNT
    return value if known else None


Count = Annotated[int | None, BeforeValidator(known_count)]
"""An optional number; an implausible value counts as missing."""
