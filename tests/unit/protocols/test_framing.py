import json
import time
from typing import Any

import pytest

from allma_server.protocols.framing import (
    INVALID_PARAMS,
    INVALID_REQUEST,
    PARSE_ERROR,
    Frames,
    Framing,
    Lines,
    Malformed,
    parse,
)


def request(id: Any = 7, **more: Any) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": id, "method": "x"} | more).encode()


@pytest.mark.parametrize("size", [1, 3, 7, 1000])
@pytest.mark.parametrize("framing", [Frames, Lines])
def test_messages_are_complete_however_they_are_split(framing: type[Framing], size: int) -> None:
    bodies = [b'{"id": 1}', "{'ü': 2}".encode(), b"{}" * 300]
    stream = b"".join(map(framing.frame, bodies))
    cut = framing()
    found = [m for i in range(0, len(stream), size) for m in cut.feed(stream[i : i + size])]
    assert found == bodies
    assert cut.close() == []


def test_the_last_line_needs_no_line_feed() -> None:
    framing = Lines()
    assert framing.feed(b'{"a": 1}\n\r\n{"b"') == [b'{"a": 1}']
    assert framing.feed(b": 2}") == []
    assert framing.close() == [b'{"b": 2}']


@pytest.mark.parametrize("header", [b"Nonsense: 1", b"Content-Length: -3", b"Content-Length: 1e3"])
def test_a_header_without_a_length_is_reported_once_and_the_next_one_is_found(
    header: bytes,
) -> None:
    framing = Frames()
    [wrong, good] = framing.feed((header + b"\r\n\r\n") * 3 + Frames.frame(b"{}"))
    assert isinstance(wrong, Malformed) and wrong.fault.code == PARSE_ERROR
    assert good == b"{}"


def test_the_rest_after_a_wrong_length_is_skipped() -> None:
    framing = Frames()
    found = framing.feed(b'Content-Length: 5\r\n\r\n{"a": 1}' + Frames.frame(b'{"b": 2}'))
    assert found == [b'{"a":', b'{"b": 2}']


@pytest.mark.parametrize("at_end", [False, True])
@pytest.mark.parametrize("framing", [Frames, Lines])
def test_a_request_over_the_limit_is_refused_by_its_id_and_the_next_one_is_served(
    framing: type[Any], at_end: bool
) -> None:
    text = '"x": {"id": 3, "y": "\\"id\\": 4 ' + "a" * 200_000 + '"}'
    body = (f'{{{text}, "id": "mine"}}' if at_end else f'{{"id": "mine", {text}}}').encode()
    cut = framing(100_000)
    [wrong, good] = cut.feed(framing.frame(body) + framing.frame(b"{}"))
    assert wrong.ids == ("mine",) and wrong.fault.code == INVALID_REQUEST
    assert "the limit is 100,000" in wrong.fault.message
    assert good == b"{}"


@pytest.mark.parametrize("length", [b"1" + b"0" * 17, b"9" * 30])
def test_an_impossible_length_is_refused_at_once(length: bytes) -> None:
    framing = Frames()
    [wrong] = framing.feed(b"Content-Length: " + length + b"\r\n\r\n{}")
    assert isinstance(wrong, Malformed) and wrong.ids == (None,)
    assert framing.feed(Frames.frame(b"[1]")) == [b"[1]"]


@pytest.mark.parametrize("noise", [b"x", b"x\n\n", b'{"a": 1}\n', b"\r\n", b"Content-Length: "])
def test_megabytes_without_a_header_are_dropped_in_one_pass(noise: bytes) -> None:
    def seconds(megabytes: int) -> float:
        framing, began = Frames(), time.process_time()
        block = noise * (65_536 // len(noise))
        found = [piece for _ in range(16 * megabytes) for piece in framing.feed(block)]
        assert len(found) <= 1 and len(framing._buffer) < 1 << 18
        assert framing.feed(b"\r\n\r\n" + Frames.frame(b"{}"))[-1] == b"{}"
        return time.process_time() - began

    once, fourfold = seconds(1), seconds(4)
    assert fourfold < 12 * once + 1


@pytest.mark.parametrize(
    ("body", "code", "ids"),
    [
        (b"{nonsense", PARSE_ERROR, (None,)),
        (b'{"id": 5, "method": "x", nonsense', PARSE_ERROR, (5,)),
        (b'{"params": {"id": 5}, "method": tru}', PARSE_ERROR, (None,)),
        (b"\xff\xfe" + request(), PARSE_ERROR, (7,)),
        (b'{"jsonrpc": "2.0", "id": 7, "method": NaN}', PARSE_ERROR, (7,)),
        (b'{"id": ' + b"9" * 5000 + b"}", PARSE_ERROR, (None,)),
        (request(params=json.loads("[" * 500 + "]" * 500)), INVALID_REQUEST, (7,)),
        (b'{"params": ' + b"[" * 10_000 + b"]" * 10_000 + b', "id": 7}', PARSE_ERROR, (7,)),
        (b'{"id": 7, "params": ' + b'{"a":' * 10_000, PARSE_ERROR, (7,)),
        (request(id=[1]), INVALID_REQUEST, (None,)),
        (request(id={}), INVALID_REQUEST, (None,)),
        (request(id=None), INVALID_REQUEST, (None,)),
        (request(id=True), INVALID_REQUEST, (None,)),
        (request(id="\ud800"), INVALID_REQUEST, (None,)),
        (request(method=["x"]), INVALID_REQUEST, (7,)),
        (request(params="x"), INVALID_PARAMS, (7,)),
        (b'{"jsonrpc": "2.0", "id": [], "error": {}}', INVALID_REQUEST, (None,)),
        (b'{"jsonrpc": "2.0", "id": 7}', INVALID_REQUEST, (7,)),
        (b'{"id": 7, "method": "x"}', INVALID_REQUEST, (7,)),
        (b"7", INVALID_REQUEST, (None,)),
        (b"[]", INVALID_REQUEST, (None,)),
        (b"[" + request(1) + b', {}, 3, ' + request(2) + b"]", INVALID_REQUEST, (1, 2)),
    ],
)  # fmt: skip
def test_an_invalid_message_is_reported_with_its_ids(
    body: bytes, code: int, ids: tuple[Any, ...]
) -> None:
    wrong = parse(body)
    assert isinstance(wrong, Malformed)
    assert (wrong.fault.code, wrong.ids) == (code, ids)
    assert [json.loads(json.dumps(response))["id"] for response in wrong.responses] == list(ids)


@pytest.mark.parametrize(
    "body",
    [
        request(),
        request("a"),
        request(params=None),
        request(params=[]),
        b"\xef\xbb\xbf" + request(),
        b'{"jsonrpc": "2.0", "method": "n"}',
        b'{"jsonrpc": "2.0", "id": 1, "result": null}',
        b'{"jsonrpc": "2.0", "id": null, "error": {"code": 1, "message": ""}}',
    ],
)
def test_valid_messages_are_accepted(body: bytes) -> None:
    assert parse(body) == json.loads(body.decode("utf-8-sig"))


def test_an_unterminated_string_is_scanned_as_fast_as_a_complete_one() -> None:
    began = time.process_time()
    wrong = parse(b'{"id": 7, "method": "' + b'\\"' * 2_000_000)
    assert isinstance(wrong, Malformed) and wrong.ids == (7,)
    assert time.process_time() - began < 5
