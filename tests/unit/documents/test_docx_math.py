import pytest
from docx.oxml import parse_xml

from allma_server.documents.readers.docx_math import formula_text

M = "http://schemas.openxmlformats.org/officeDocument/2006/math"


def t(text: str) -> str:
    return f"<m:r><m:t>{text}</m:t></m:r>"


def e(tag: str, **parts: str) -> str:
    """An element whose children have these names and contents; properties come as they are."""
    inside = "".join(
        content if name == "pr" else f"<m:{name}>{content}</m:{name}>"
        for name, content in parts.items()
    )
    return f"<m:{tag}>{inside}</m:{tag}>"


def pr(tag: str, **values: str) -> str:
    said = "".join(f'<m:{name} m:val="{value}"/>' for name, value in values.items())
    return f"<m:{tag}Pr>{said}</m:{tag}Pr>"


def text(formula: str) -> str:
    return formula_text(parse_xml(f'<m:oMath xmlns:m="{M}">{formula}</m:oMath>'))


SUM = e("nary", pr=pr("nary", chr="∑"), sub=t("i=1"), sup=t("n"), e=e("sSub", e=t("x"), sub=t("i")))
ROW = "<m:mr><m:e>{}</m:e><m:e>{}</m:e></m:mr>"


@pytest.mark.parametrize(
    ("formula", "expected"),
    [
        (e("sSup", e=t("10"), sup=t("-6")), "10^-6"),
        (e("sSup", e=t("e"), sup=t("-x+1")), "e^(-x+1)"),
        (e("sSup", e=e("d", e=t("a+b")), sup=t("2")), "(a+b)^2"),
        (e("sSub", e=t("a"), sub=t("i+1")), "a_(i+1)"),
        (e("sSubSup", e=t("x"), sub=t("0"), sup=t("2")), "x_0^2"),
        (e("sPre", sub=t("6"), sup=t("14"), e=t("C")), "_6^14C"),
        (e("f", num=t("mλ"), den=t("a")), "mλ/a"),
        (e("f", num=t("a+b"), den=t("2a")), "(a+b)/(2a)"),
        (e("f", num=t("distance"), den=t("time")), "distance/time"),
        (e("f", pr=pr("f", type="noBar"), num=t("n"), den=t("k")), "binom(n, k)"),
        (e("rad", pr=pr("rad", degHide="1"), deg="", e=t("x")), "√x"),
        (e("rad", deg=t("3"), e=t("x+1")), "∛(x+1)"),
        (e("rad", deg=t("n"), e=t("x")), "√[n]x"),
        (SUM, "∑_(i=1)^n x_i"),
        (e("nary", sub=t("0"), sup=t("1"), e=t("f")), "∫_0^1 f"),
        (e("d", pr=pr("d", begChr="{", endChr=""), e=e("eqArr", e=t("x&lt;0"))), "{x<0"),
        (e("d", pr=pr("d", begChr="|", endChr="|"), e=t("x")), "|x|"),
        (e("m", mr="") + "", "[]"),
        (e("d", e=f"<m:m>{ROW.format(t('a'), t('b'))}{ROW.format(t('c'), t('d'))}</m:m>"),
         "(a, b; c, d)"),
        (e("func", fName=t("sin"), e=t("x")), "sin x"),
        (e("func", fName=e("limLow", e=t("lim"), lim=t("x→0")), e=t("f")), "lim_(x→0) f"),
        (e("acc", e=t("x")), "x\u0302"),
        (e("bar", e=t("x")), "x\u0305"),
        (e("groupChr", e=t("abc")), "abc"),
        (e("box", e=t("E=") + e("sSup", e=t("mc"), sup=t("2"))), "E=mc^2"),
        (e("phant", pr=pr("phant", show="0"), e=t("unseen")), ""),
    ],
)  # fmt: skip
def test_a_formula_is_a_line_of_text(formula: str, expected: str) -> None:
    assert text(formula) == expected


def test_formulas_can_be_nested() -> None:
    inner = e("f", num=t("1"), den=e("rad", pr=pr("rad", degHide="1"), deg="", e=t("2π")))
    exponent = e("f", num=e("sSup", e=t("x"), sup=t("2")), den=t("2"))
    assert text(inner + e("sSup", e=t("e"), sup=t("−") + exponent)) == "1/(√(2π))e^(−x^2/2)"
