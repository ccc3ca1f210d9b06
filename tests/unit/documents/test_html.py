import time
from pathlib import PurePath

import pytest

from allma_server.documents.chunking import ChunkSettings, chunk
from allma_server.documents.readers import html as html_reader
from allma_server.errors import NothingToIndex
from allma_server.types import Extract

STORY = "The river rose in the night and took the old bridge with it before anybody woke up. " * 4


def read(page: str | bytes) -> Extract:
    data = page.encode() if isinstance(page, str) else page
    return html_reader.read(data, PurePath("page.html"))


def article(*paragraphs: str) -> str:
    return "<article>" + "".join(f"<p>{text}</p>" for text in paragraphs) + "</article>"


def test_the_article_is_read_without_menus_and_scripts() -> None:
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


def test_a_page_without_an_article_is_read_completely() -> None:
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


def test_a_layout_table_is_read_as_text() -> None:
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
def test_the_declared_encoding_of_a_page_is_used(page: bytes) -> None:
    assert read(page).text == "мост через реку"


def test_embedded_images_are_not_text() -> None:
    assert (
        "AAAA" not in read(f"<p>see <img src='data:image/png;base64,{'AAAA' * 100}'> it</p>").text
    )


def test_self_closed_xhtml_elements_are_read() -> None:
    page = (
        '<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml"><head><title>T</title>'
        '<script src="x.js"/></head><body><p><a id="top"/>seen</p><div/><p>too</p></body></html>'
    )
    assert read(page).text == "seen\n\ntoo"


@pytest.mark.parametrize("page", ["", "<html></html>", "<script>only()</script>", "<p> \u200b</p>"])
def test_a_page_without_text_has_nothing_to_index(page: str) -> None:
    with pytest.raises(NothingToIndex):
        read(page)


# --- all that is visible ----------------------------------------------------------------------

MANUAL = f"""<!DOCTYPE html>
<html><head><title>Billing</title></head><body>
<nav><a href="/">All manuals</a></nav>
<h1>Billing manual</h1>
<p>{STORY}</p>
<h2>Limits <a class="headerlink" href="#limits">¶</a></h2>
<dl><dt>max_open_invoices</dt><dd>48000 by default</dd>
<dt>dunning_days</dt><dd><p>14</p><p>Never less than 3.</p></dd></dl>
<h2>Escalation</h2>
<ol><li>First call <code>desk</code>, extension 5512</li><li>Then write</li></ol>
<ul><li>one<ul><li>inner</li></ul></li><li>two</li></ul>
<details><summary>More</summary><p>Folded away.</p></details>
<figure><img src="x.png" alt="Two towers"><figcaption>The bridge in 1901</figcaption></figure>
<form role="search"><input><button>Find it</button></form>
<form><label>Your account <input></label><button>Send</button></form>
<aside>Advertisement</aside><footer>Imprint</footer>
</body></html>"""


def test_all_visible_text_of_a_manual_is_kept_under_its_headings() -> None:
    extract = read(MANUAL)
    bodies = {s.heading[-1]: extract.text[s.start : s.end].strip() for s in extract.sections}
    assert bodies["Limits"] == (
        "Limits\n\nmax_open_invoices\n48000 by default\n\ndunning_days\n14\n\nNever less than 3."
    )
    assert bodies["Escalation"] == (
        "Escalation\n\n1. First call desk, extension 5512\n2. Then write\n"
        "- one\n  - inner\n- two\n\nMore\n\nFolded away.\n\nTwo towers\n\n"
        "The bridge in 1901\n\nYour account Send"
    )
    for unwanted in ("All manuals", "Find it", "Advertisement", "Imprint", "¶"):
        assert unwanted not in extract.text


CARD = '<meta property="og:title" content="x"><meta property="og:type" content="article">'


def test_a_saved_article_keeps_its_headings_lists_and_code_and_loses_its_teasers() -> None:
    teasers = "".join(f"<div><a href='/{n}'>Read this too {n}</a></div>" for n in range(20))
    page = (
        f"<html><head><title>x</title>{CARD}</head><body><div class='menu'>{teasers}</div><article>"
        f"<h2>The flood</h2><p>{STORY}</p><p>{STORY.title()}</p>"
        "<h2>What to do</h2><ol><li>Call 5512 at once</li><li>Go</li></ol>"
        "<dl><dt>max_open_sluices</dt><dd>48</dd></dl>"
        f"<pre>sluice --open\nsluice --all</pre><p>{STORY.swapcase()}</p></article>"
        f"<div class='related'>{teasers}</div></body></html>"
    )
    extract = read(page)
    assert [s.heading for s in extract.sections] == [("The flood",), ("What to do",)]
    assert "1. Call 5512 at once\n2. Go" in extract.text
    assert "sluice --open\nsluice --all" in extract.text
    assert "max_open_sluices\n48" in extract.text
    assert "Read this too" not in extract.text


@pytest.mark.parametrize(
    "sign",
    [
        '<meta name="generator" content="Docusaurus v3.1">',
        '<meta name="generator" content="MediaWiki 1.43">',
        '<meta name="Generator" content="Microsoft Word 15">',
        '<script src="_static/documentation_options.js"></script>',
    ],
)
def test_documentation_with_social_metadata_is_read_completely(sign: str) -> None:
    page = (
        f"<html><head>{CARD}{sign}</head><body><div>Version 7</div><main><h1>Sluice</h1>"
        f"<p>{STORY}</p><div>short</div><p>{STORY.title()}</p></main><div>Edited by Ann</div>"
    )
    text = read(page).text
    assert "Version 7" in text and "short" in text and "Edited by Ann" in text


@pytest.mark.parametrize(
    ("page", "text"),
    [
        ("<p>a<sup>2</sup> 10<sup>-6</sup> 1<sup>st</sup></p>", "a2 10^-6 1st"),
        ("<p><ruby>漢<rt>かん</rt>字<rt>じ</rt></ruby>だ</p>", "漢字(かんじ)だ"),
        ("<p>R&amp;D &euro;5 &#8211; x</p>", "R&D €5 – x"),
        ("<p>one<br>two<wbr>three</p>", "one\ntwothree"),
        ("<p>use <code>x</code>,<b>y</b></p>", "use x,y"),
        ("<p>a <svg><title>t</title><text>drawn</text></svg> b</p>", "a drawn b"),
        ("<p><math><mfrac><mi>a</mi><mrow><mi>b</mi><mo>+</mo><mi>c</mi></mrow></mfrac></math></p>",
         "a/(b+c)"),
        ("<pre>a<br>b\n  c</pre>", "a\nb\n  c"),
        ("<table><caption>Ports</caption><tr><th>a<th>b<tr><td>1<td>2</table>",
         "Ports\n\na | b\n1 | 2"),
        ("<table role=presentation><tr><td>a</td><td>b</td></tr></table>", "a\n\nb"),
        ("<select><option>red</option><option>blue</option></select>", "red blue"),
        ("<ol start=4><li>a</li><li value=9>b</li></ol>", "4. a\n9. b"),
        ("<p>a<!-- b --><![if !x]>c<![endif]></p>", "ac"),
        ("<div role=heading aria-level=2>Head</div><p>x</p>", "Head\n\nx"),
        ("<blockquote>Well said<footer>Ann</footer></blockquote>", "Well said\n\nAnn"),
        ("<p>x</p><aside class='footnote'>1 A note</aside>", "x\n\n1 A note"),
        ("<nav><a href=a>only</a> <a href=b>links</a></nav>", "only links"),
    ],
)  # fmt: skip
def test_visible_text_is_read(page: str, text: str) -> None:
    assert read(page).text == text


@pytest.mark.parametrize(
    "part",
    [
        "<div hidden>unseen</div>",
        "<div HIDDEN=''><p>unseen</p></div>",
        "<span style='visibility: hidden'>unseen</span>",
        "<span style='color:red;display:none !important'>unseen</span>",
        "<span aria-hidden=true>unseen</span>",
        "<a hidden href=x>unseen</a>",
        "<dialog>unseen</dialog>",
        "<template>unseen</template>",
        "<div role=navigation>unseen</div>",
        "<div role=contentinfo>unseen</div>",
    ],
)
def test_hidden_text_is_not_read(part: str) -> None:
    assert read(f"<p>seen</p>{part}tail").text == "seen\n\ntail"


@pytest.mark.parametrize("sign", ["¶", "#", "§", "\uf0c1", "\u200b", ""])
def test_the_anchor_symbol_is_not_part_of_a_heading(sign: str) -> None:
    extract = read(f"<h2>Use <a href='#use'>{sign}</a></h2><p>See <a href='#use'>it</a>.</p>")
    assert (extract.sections[0].heading, extract.text) == (("Use",), "Use\n\nSee it.")


def test_text_behind_dialogs_and_findable_text_is_read() -> None:
    page = "<div aria-hidden=true><p>covered</p></div><p hidden=until-found>folded</p>"
    assert read(page).text == "covered\n\nfolded"


# --- lines of the file ------------------------------------------------------------------------


@pytest.mark.parametrize("paragraphs", [3_000, 34_000])
def test_locations_are_lines_of_the_file(paragraphs: int) -> None:
    source = "<html><head>\n<title>x</title><script>\n\n</script>\n</head><body>\n"
    for n in range(paragraphs):
        source += f"<p class=a\n id=x{n}>alpha{n}</p><!-- \n --><b>beta{n}</b>\n"
    source += "<pre>\ngamma\n</pre><table><tr>\n<td>delta</td>\n<td>4</td></tr></table></body>"
    extract = read(source)
    file = source.split("\n")
    read_lines = extract.text.split("\n")
    assert len(read_lines) == len(extract.lines)
    for line, number in zip(read_lines, extract.lines, strict=True):
        assert line.split(" ")[0] in file[number - 1]
    chunks = chunk(extract, "", ChunkSettings())
    for each in chunks[:: max(1, len(chunks) // 50)]:
        assert each.text.split("\n")[0] in file[each.start_line - 1]
        assert each.text.split("\n")[-1].split(" ")[0] in file[each.end_line - 1]


def test_elements_on_one_line_have_its_number() -> None:
    extract = read("<p>one</p><p>two</p>\n<p>three</p>")
    assert extract.text == "one\n\ntwo\n\nthree"
    assert extract.lines == (1, 1, 1, 1, 2)


# --- hostile pages ------------------------------------------------------------------------------

HOSTILE = {
    "nested": "<div>" * 20_000 + "deep" + "</div>" * 20_000,
    "attributes": "<p " + " ".join(f"a{i}=1" for i in range(50_000)) + ">deep</p>",
    "tables": "<table><tr><td>" * 3000 + "deep",
    "unclosed": "<b>" * 10_000 + "deep",
    "unclosed headings": "<h1>" * 10_000 + "deep",
    "lists": "<ul><li>" * 10_000 + "deep",
    "one line": "<p>" + "word " * 1_000_000 + "deep</p>",
    "tag that never ends": "deep<p title='" + "x" * 2_000_000,
    "brackets": "deep" + "< " * 1_000_000,
    "comments": "deep" + "<!--" * 500_000,
    "anchors": "<a href='#x'><div>" * 10_000 + "deep",
    "article": CARD + "<div>" * 10_000 + f"<p>{STORY} deep",
    "entities": "&amp" * 500_000 + " deep",
}


@pytest.mark.parametrize("page", HOSTILE.values(), ids=HOSTILE)
def test_hostile_pages_are_read_completely_within_seconds(page: str) -> None:
    begun = time.process_time()
    extract = read(f"<p>before</p>{page}")
    assert "before" in extract.text and "deep" in extract.text
    assert time.process_time() - begun < 10


def test_the_time_is_linear_in_the_size() -> None:
    def seconds(items: int) -> float:
        begun = time.process_time()
        read("<ul>" + "<li>an item <b>of</b> a list</li>\n" * items + "</ul>")
        return time.process_time() - begun

    seconds(100)
    assert seconds(60_000) < 30 * max(seconds(6_000), 0.02)
