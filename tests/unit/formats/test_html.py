from pathlib import PurePath

import pytest

from allma_server.errors import NothingToIndex
from allma_server.formats.html import HtmlReader
from allma_server.model import Extract

STORY = "The river rose in the night and took the old bridge with it before anybody woke up. " * 4


def read(page: str | bytes) -> Extract:
    data = page.encode() if isinstance(page, str) else page
    return HtmlReader().read(data, PurePath("page.html"))


def article(*paragraphs: str) -> str:
    return "<article>" + "".join(f"<p>{text}</p>" for text in paragraphs) + "</article>"


def test_the_article_is_kept_and_menus_and_scripts_are_not() -> None:
    page = (
        "<html><head><title>The flood</title><style>p {color: red}</style></head><body>"
        "<nav><a href='/'>Home</a> <a href='/sport'>Sport</a></nav>"
        f"{article(STORY, STORY.upper(), STORY.title())}"
        "<script>track('visitor')</script><footer>All rights reserved</footer></body></html>"
    )
    extract = read(page)
    assert extract.title == "The flood"
    assert "took the old bridge" in extract.text and "TOOK THE OLD BRIDGE" in extract.text
    for unwanted in ("Sport", "track", "color", "All rights"):
        assert unwanted not in extract.text


def test_sections_follow_the_headings() -> None:
    page = (
        f"<html><body><main><h1>Rivers</h1><p>{STORY}</p><h2>The <em>old</em> bridge</h2>"
        f"<p>{STORY}</p><h2>The new bridge</h2><p>{STORY}</p></main></body></html>"
    )
    assert [section.heading for section in read(page).sections] == [
        ("Rivers",),
        ("Rivers", "The old bridge"),
        ("Rivers", "The new bridge"),
    ]


def test_a_page_that_is_no_article_is_kept_whole() -> None:
    page = "<html><body><div>Opening hours</div><div>Monday 9 to 5</div></body></html>"
    assert read(page).text == "Opening hours\n\nMonday 9 to 5"


def test_lists_tables_and_code_keep_their_shape() -> None:
    page = (
        "<h1>Use</h1><ul><li>first</li><li><p>second</p></li></ul>"
        "<pre>def f():\n    return 1\n</pre>"
        "<table><tr><th>name</th><th>age</th></tr><tr><td>Ann</td><td><p>7</p></td></tr></table>"
        "<p>line<br>break and <code>inline</code> code</p>"
    )
    assert read(page).text == (
        "Use\n\n- first\n- second\n\ndef f():\n    return 1\n\nname | age\nAnn | 7\n\n"
        "line\nbreak and inline code"
    )


def test_a_table_for_layout_is_no_table() -> None:
    inner = "<table><tr><td>b</td></tr></table>"
    page = f"<table><tr><td><h2>News</h2><p>a</p></td><td>{inner}</td></tr></table>"
    assert read(page).text == "News\n\na\n\nb"


def test_hidden_parts_and_comments_are_not_indexed() -> None:
    page = (
        "<p>seen</p><!-- not seen --><p hidden>not seen</p>"
        "<p style='color:red; display: none'>not seen</p><noscript>not seen</noscript>"
    )
    assert read(page).text == "seen"


@pytest.mark.parametrize(
    "page",
    [
        '<meta charset="windows-1251"><p>мост через реку</p>'.encode("cp1251"),
        '<?xml version="1.0" encoding="koi8-r"?><html><p>мост через реку</p></html>'.encode(
            "koi8-r"
        ),
        "<p>мост через реку</p>".encode("utf-16"),
        "\ufeff<p>мост через реку</p>".encode(),
    ],
)
def test_the_encoding_is_the_one_the_page_declares(page: bytes) -> None:
    assert read(page).text == "мост через реку"


def test_embedded_images_are_not_text() -> None:
    assert (
        "AAAA" not in read(f"<p>see <img src='data:image/png;base64,{'AAAA' * 100}'> it</p>").text
    )


@pytest.mark.parametrize("page", ["", "<html></html>", "<script>only()</script>", "<p> \u200b</p>"])
def test_a_page_without_text_has_nothing_to_index(page: str) -> None:
    with pytest.raises(NothingToIndex):
        read(page)


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "page",
    [
        "<div>" * 20_000 + "deep" + "</div>" * 20_000,
        "<p " + " ".join(f"a{i}=1" for i in range(50_000)) + ">text</p>",
        "<table>" * 3000 + "text",
        "<b>" * 10_000 + "text",
    ],
    ids=["nested", "attributes", "tables", "unclosed"],
)
def test_hostile_pages_are_read_or_refused_in_time(page: str) -> None:
    try:
        read(f"<p>before</p>{page}")
    except NothingToIndex:
        pass
