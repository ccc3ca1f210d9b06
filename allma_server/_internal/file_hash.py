"""The hash of a file's content, for a purpose."""

from collections.abc import Iterable
from hashlib import blake2b


def file_hash(blocks: Iterable[bytes], purpose: str) -> str:
    """Return 32 hex digits for the content of a file, and for what it is read for.

    Another purpose, such as other sizes of chunks, makes every file a changed one.
    """
    digest = blake2b(purpose.encode(), digest_size=16)
    for block in blocks:
        digest.update(block)
    return digest.hexdigest()
