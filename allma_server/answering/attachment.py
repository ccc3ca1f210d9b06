"""Text that a user gives with a question, such as what is piped to the shell.

It is the first source of the answer, so that the answer is checked against it and can cite it. It
is stored with the question, and is in no index.
"""

from allma_server.types import Passage

ATTACHED = "standard input"
"""Takes the place of the path in sources that are no document."""

ATTACHED_DOCUMENT = 0
"""The id of the document of such sources; those of documents begin with 1."""

_MARK = "\n\n--- attached text ---\n"


def attached_passage(text: str) -> Passage:
    """Return the text as a source."""
    return Passage(
        path=ATTACHED,
        workspace="",
        document_id=ATTACHED_DOCUMENT,
        chunk_id=0,
        chunk_index=0,
        text=text,
        score=1.0,
        start_line=1,
        end_line=text.count("\n") + 1,
        page=None,
        heading=[],
        uri="",
    )


def with_attachment(question: str, text: str) -> str:
    """Return a question and its text as one message."""
    return f"{question}{_MARK}{text}" if text else question


def without_attachment(message: str) -> str:
    """Return the question of a message without its text."""
    return message.partition(_MARK)[0]
