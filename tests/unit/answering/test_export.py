from allma_server.answering.export import to_markdown
from allma_server.types import Conversation, Message


def test_an_uncited_answer_is_exported_with_its_caution() -> None:
    asked = Message("1", "user", "How loud?", None, "")
    reported = Message("2", "assistant", "Whales sing loudly.", "llama", "", [], "uncited")
    text = to_markdown(Conversation("c", "Whales", "2026-01-01", "", 2, [asked, reported]))
    assert "Whales sing loudly.\n\n*This answer cites no source" in text
    assert text.count("cites no source") == 1
