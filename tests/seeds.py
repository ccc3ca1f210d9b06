"""The number of random cases of a test: few by default, many in `.ci/full`."""

import os

FULL = bool(os.environ.get("TEST_FULL"))  # noqa: TID251


def seeds(few: int, many: int) -> range:
    """Return seeds for `parametrize`. Mark the test with `pytest.mark.seeds` for `.ci/full`."""
    return range(many if FULL else few)
