"""A refused value is answered with its requirement."""

from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field, ValidationError

from allma_server._internal.validation import requirement


class Model(BaseModel):
    top_k: Annotated[int, Field(ge=1, le=50)] = 5
    seconds: float = Field(default=1, gt=0, le=300)
    minutes: float = Field(default=1, gt=0)
    least: int = Field(default=1, ge=1)
    watch: bool = True
    state: Literal["indexed", "failed"] = "indexed"
    title: str = Field(default="", max_length=3)
    paths: list[str] = Field(default=["a"], min_length=1)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("top_k", 0, "must be between 1 and 50"),
        ("top_k", 51, "must be between 1 and 50"),
        ("top_k", "many", "must be a whole number between 1 and 50"),
        ("top_k", 1.5, "must be a whole number between 1 and 50"),
        ("seconds", 0, "must be above 0 and at most 300"),
        ("minutes", -1, "must be above 0"),
        ("minutes", "soon", "must be a number above 0"),
        ("least", 0, "must be at least 1"),
        ("watch", "perhaps", "must be true or false"),
        ("state", "lost", "must be 'indexed' or 'failed'"),
        ("title", "long", "must have at most 3 characters"),
        ("title", 3, "must be a string"),
        ("paths", [], "must have at least 1 item"),
        ("paths", "a", "must be a list"),
    ],
)
def test_the_requirement_is_named(name: str, value: Any, expected: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Model.model_validate({name: value})
    [error] = refused.value.errors()
    assert requirement(error, Model.model_fields[name]) == expected
