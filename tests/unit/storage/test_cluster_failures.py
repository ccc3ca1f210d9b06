"""What a cluster's client raises is told in sentences, and only a refusal is one."""

import pytest

from allma_server.storage.cluster.addresses import addresses
from allma_server.storage.cluster.failures import failure_of


@pytest.mark.parametrize(
    "said",
    [
        "Connection to http://127.0.0.1:8403 failed: connection refused",
        "object 00000001-0000-0000-0000-000000040130: unexpected end",
        "failed after 14130 ms: connection reset",
    ],
)
def test_a_number_in_another_is_no_status(said: str) -> None:
    [node] = addresses("http://127.0.0.1:8403")
    failure = failure_of(OSError(said), node, 3.0)
    assert not failure.refused and "key" not in failure.message
    assert "so large" not in failure.message


@pytest.mark.parametrize("said", ["status code: 401", "got HTTP 403, forbidden", "(401)"])
def test_a_refused_key_is_told(said: str) -> None:
    [node] = addresses("http://127.0.0.1:8080")
    assert failure_of(OSError(said), node, 3.0).refused
