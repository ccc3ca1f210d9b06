"""Number formats of Excel: how a number is shown, such as `1,234.50 €` or `25.5%`.

Dates are no numbers here. What a format does beyond this, as colours and fractions, is left out.
"""

import re
from dataclasses import dataclass
from functools import cache

_SECTION = re.compile(r'(?:"[^"]*"|\\.|\[[^\]]*\]|[^;"\\\[])*')
_TOKEN = re.compile(
    r'"(?P<text>[^"]*)"|\\(?P<escaped>.)|\[\$(?P<currency>[^\]-]*)[^\]]*\]|\[(?P<rule>[^\]]*)\]'
    r"|_.|\*.|(?P<digits>[#0?][#0?,]*(?:\.[#0?]*)?|\.[#0?]+)|(?P<other>.)",
    re.DOTALL,
)
_COLOURS = re.compile(r"black|white|red|green|blue|yellow|magenta|cyan|color ?\d+", re.I)
_LITERALS = frozenset("$€£¥+-() %/:!&'~{}<>^")
_MAX_DIGITS = 40

BUILT_IN = {
    1: "0", 2: "0.00", 3: "#,##0", 4: "#,##0.00", 9: "0%", 10: "0.00%",
    # Those of money have the currency of the reader's country, which the file does not tell.
    5: "#,##0", 6: "#,##0", 7: "#,##0.00", 8: "#,##0.00", 37: "#,##0", 38: "#,##0",
    39: "#,##0.00", 40: "#,##0.00", 41: "#,##0", 42: "#,##0", 43: "#,##0.00", 44: "#,##0.00",
}  # fmt: skip
"""Formats that a file need not define."""


_ROUNDING = 1 + 1e-15
"""Excel counts 15 digits: it shows the number 2.675, which is a little less, as 2.68."""


@dataclass(frozen=True, slots=True)
class NumberFormat:
    """`before` and `after` surround the digits; `spec` is Python's format of these.

    `optional`: how many decimals are left out when they are zeros.
    """

    before: str
    after: str
    spec: str
    optional: int
    factor: float

    def shown(self, value: float) -> str:
        """Return a number as the format shows it; negative ones always have a minus."""
        digits = f"{abs(value) * self.factor:{self.spec}}"
        if self.optional:
            end = len(digits) - self.optional
            digits = (digits[:end] + digits[end:].rstrip("0")).rstrip(".")
        sign = "-" if value < 0 and any(digit in "123456789" for digit in digits) else ""
        return f"{sign}{self.before}{digits}{self.after}"


@cache
def number_format(code: str) -> NumberFormat | None:
    """Return what a format code says of positive numbers; None if it has no digits to show.

    None also for dates, fractions, powers of ten, and numbers that are cut to thousands.
    """
    found = _SECTION.match(code)
    literals = ["", ""]
    digits = ""
    for token in _TOKEN.finditer(found[0] if found else ""):
        if token["digits"]:
            if digits:
                return None
            digits = token["digits"]
        elif token["rule"] is not None:
            if not _COLOURS.fullmatch(token["rule"]):
                return None
        elif token["other"] and token["other"] not in _LITERALS:
            return None
        else:
            shown = (token[kind] for kind in ("text", "escaped", "currency", "other"))
            literals[bool(digits)] += "".join(text or "" for text in shown)
    return _of_parts(literals, digits)


def _of_parts(literals: list[str], digits: str) -> NumberFormat | None:
    whole, _, decimals = digits.partition(".")
    if not digits or whole.endswith(",") or len(digits) > _MAX_DIGITS:
        return None
    # A bracket is that of a negative number.
    before, after = (" ".join(text.split()).strip("() ") for text in literals)
    after = " " * (bool(after) and literals[1].startswith(" ")) + after
    width = whole.count("0") + len(decimals) + bool(decimals)
    padded = f"0{width}" if whole.count("0") > 1 else "," * ("," in whole)
    optional = len(decimals) - len(decimals.rstrip("#?"))
    factor = 100 * _ROUNDING if "%" in before + after else _ROUNDING
    return NumberFormat(before, after, f"{padded}.{len(decimals)}f", optional, factor)
