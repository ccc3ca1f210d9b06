import pytest

from allma_server.daemon.forward import Framing


def lsp(body: bytes, header: bytes = b"Content-Length: %d\r\n\r\n") -> bytes:
    return header % len(body) + body


@pytest.mark.parametrize("size", [1, 3, 7, 1000])
def test_messages_come_out_whole_however_they_were_cut(size: int) -> None:
    messages = [lsp(b'{"id": 1}'), lsp("{'ü': 2}".encode()), lsp(b"{}" * 300)]
    stream = b"".join(messages)
    framing = Framing("lsp")
    found = [m for i in range(0, len(stream), size) for m in framing.feed(stream[i : i + size])]
    assert found == messages
    assert framing.rest() == b""


def test_lines_are_messages_of_the_other_protocol() -> None:
    framing = Framing("mcp")
    assert framing.feed(b'{"a": 1}\n{"b"') == [b'{"a": 1}\n']
    assert framing.feed(b": 2}\n") == [b'{"b": 2}\n']


def test_a_header_without_a_length_is_passed_on_for_the_daemon_to_refuse() -> None:
    framing = Framing("lsp")
    good = lsp(b"{}")
    assert framing.feed(b"Nonsense: 1\r\n\r\n" + good) == [b"Nonsense: 1\r\n\r\n", good]


def test_nothing_is_lost_when_the_client_leaves_in_the_middle() -> None:
    framing = Framing("lsp")
    assert framing.feed(lsp(b"{}")[:-1]) == []
    assert framing.rest() == lsp(b"{}")[:-1]
