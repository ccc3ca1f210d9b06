"""How many random cases a test takes: a few by default, many where `.ci/full` runs it."""

import os

FULL = bool(os.environ.get("TEST_FULL"))  # noqa: TID251


def seeds(few: int, many: int) -> range:
    """Seeds for `parametrize`; mark the test with `pytest.mark.seeds`, by which they are run."""
    return range(many if FULL else few)
