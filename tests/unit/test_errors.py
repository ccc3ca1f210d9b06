"""Errors as users and programs receive them."""

import pytest

from allma_server.errors import (
    AllmaError,
    ConversationNotFound,
    DataDamaged,
    as_dict,
    by_code,
    from_dict,
)


def test_an_error_without_a_hint_has_that_of_its_class() -> None:
    assert ConversationNotFound("There is no conversation 'x'.").hint is not None
    assert "doctor --repair" in str(DataDamaged("The database is damaged."))
    assert DataDamaged("It is damaged.", "Call the owner.").hint == "Call the owner."


@pytest.mark.parametrize("conversation", ["c1", None])
def test_an_error_is_the_same_after_serialization(conversation: str | None) -> None:
    failure = ConversationNotFound("There is no conversation 'x'.", "List them.")
    failure.conversation_id = conversation
    data = as_dict(failure)
    assert ("conversation_id" in data) == (conversation is not None)
    arrived = from_dict(data)
    assert type(arrived) is ConversationNotFound and as_dict(arrived) == data


def test_an_unknown_code_is_still_an_expected_error() -> None:
    assert by_code("of_a_later_version") is AllmaError
