"""What clients have open with a credential, to end it when the credential is revoked."""

from collections import defaultdict
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager


class CredentialUses:
    """The requests, streams, calls and sessions of each credential, by its id."""

    def __init__(self) -> None:
        self._ends: defaultdict[int, list[Callable[[], object]]] = defaultdict(list)
        self._revoked: set[int] = set()

    def add(self, credential_id: int, end: Callable[[], object]) -> Callable[[], None]:
        """Have `end` called when the credential is revoked; return what to call after the use."""
        if credential_id in self._revoked:  # since it was looked up
            end()
            return lambda: None
        ends = self._ends[credential_id]
        ends.append(end)

        def remove() -> None:
            if end in ends:
                ends.remove(end)
            if not ends:
                self._ends.pop(credential_id, None)

        return remove

    @contextmanager
    def open(self, credential_id: int, end: Callable[[], object]) -> Generator[None]:
        """Have `end` called when the credential is revoked during the block."""
        remove = self.add(credential_id, end)
        try:
            yield
        finally:
            remove()

    def end(self, credential_ids: Iterable[int]) -> None:
        """End all uses of credentials that are no longer valid."""
        for credential_id in credential_ids:
            self._revoked.add(credential_id)
            for end in self._ends.pop(credential_id, []):
                end()
