"""What the JSON of model servers has in common."""

from typing import Annotated, Any, cast

from pydantic import BaseModel, BeforeValidator, model_validator

_LARGEST_COUNT = 1 << 40


class WireModel(BaseModel):
    """An object of a server's JSON, in which null is the same as absent."""

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {k: v for k, v in cast(dict[Any, Any], value).items() if v is not None}


def known_count(value: Any) -> int | None:
    """A number of JSON that can be a count; None for everything else."""
    known = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _LARGEST_COUNT
    return value if known else None


Count = Annotated[int | None, BeforeValidator(known_count)]
"""A number that is good to know; one that makes no sense is not known."""
