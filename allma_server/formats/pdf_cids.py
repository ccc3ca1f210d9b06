"""What the characters of CJK fonts mean in PDF files that don't say it.

Such files give character ids (CIDs) of Adobe's collections and no table to Unicode. Most CIDs
follow the order of a national standard, which Python's codecs know. Runs after Adobe's
cmap-resources (Technical Notes 5078, 5079, 5080 and 5093); what lies outside of them is rare.
"""

from functools import cache

_Runs = tuple[tuple[int, int, int], ...]

# Collection: codec, the CIDs of space to tilde, and runs of (first code, first CID, last CID).
_COLLECTIONS: dict[str, tuple[str, tuple[int, ...], _Runs]] = {
    "Japan1": (
        "euc_jp",
        (1, 231),
        ((0x8EA1, 327, 389), (0xA1A1, 633, 1124), (0xB0A1, 1125, 7477)),
    ),
    "GB1": (
        "gb2312",
        (1, 813),
        (
            (0xA1A1, 96, 572),
            (0xA7A1, 602, 693),
            (0xA8C5, 700, 736),
            (0xA9A4, 738, 813),
            (0xB0A1, 940, 7702),
        ),
    ),
    "Korea1": ("euc_kr", (1, 8094), ((0xA1A1, 101, 263), (0xA3A1, 264, 3576))),
    "CNS1": (
        "big5",
        (1, 13648),
        (
            (0xA140, 99, 123),
            (0xA15D, 128, 246),
            (0xA440, 595, 2006),
            (0xAD40, 2007, 2430),
            (0xAFD0, 2432, 4307),
            (0xBBC8, 4309, 4695),
            (0xBE53, 4696, 5220),
            (0xC1AB, 5222, 5410),
            (0xC2CC, 5411, 5494),
            (0xC361, 5496, 5549),
            (0xC3BB, 5552, 5641),
            (0xC457, 5642, 5995),
        ),
    ),
}


@cache
def unicode_table(collection: str) -> bytes | None:
    """A ToUnicode CMap (ISO 32000-2, 9.10.3) for two-byte CIDs; None for other collections."""
    if collection not in _COLLECTIONS:
        return None
    codec, latin, runs = _COLLECTIONS[collection]
    meaning = {first + i: chr(0x20 + i) for first in latin for i in range(95)}
    for code, first, last in runs:
        cid = first
        while cid <= last:
            try:
                char = code.to_bytes(2, "big").decode(codec)
            except UnicodeDecodeError:
                char = ""
            if len(char) == 1:
                meaning[cid] = char
                cid += 1
            code += 1
    lines = [f"<{cid:04x}> <{ord(char):04x}>" for cid, char in sorted(meaning.items())]
    # A block holds at most a hundred lines.
    blocks = (lines[i : i + 100] for i in range(0, len(lines), 100))
    body = "".join(
        f"{len(block)} beginbfchar\n" + "\n".join(block) + "\nendbfchar\n" for block in blocks
    )
    return (
        f"begincmap\n1 begincodespacerange\n<0000> <ffff>\nendcodespacerange\n{body}endcmap\n"
    ).encode("ascii")
