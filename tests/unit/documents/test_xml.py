import time
from pathlib import Path, PurePath

import pytest

from allma_server.documents.readers import reader_for
from allma_server.documents.readers import xml as xml_reader
from allma_server.errors import NothingToIndex
from allma_server.types import Extract


def read(source: str | bytes, name: str = "file.xml") -> Extract:
    data = source.encode() if isinstance(source, str) else source
    return xml_reader.read(data, PurePath(name))


def numbered(extract: Extract) -> list[tuple[int, str]]:
    lines = zip(extract.lines, extract.text.split("\n"), strict=True)
    return [(line, text) for line, text in lines if text]


POM = """<?xml version="1.0"?>
<!-- Built nightly -->
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <artifactId>billing</artifactId>
  <dependencies>
    <dependency>
      <groupId>org.example</groupId>
      <version>48.0.0</version>
    </dependency>
  </dependencies>
  <description>
    Sends invoices
    every night.
  </description>
</project>
"""


def test_settings_are_found_by_tag_and_value_on_the_lines_of_the_file() -> None:
    assert numbered(read(POM, "pom.xml")) == [
        (3, "project"),
        (2, "  # Built nightly"),
        (4, "  artifactId: billing"),
        (5, "  dependencies"),
        (6, "    dependency"),
        (7, "      groupId: org.example"),
        (8, "      version: 48.0.0"),
        (11, "  description:"),
        (12, "    Sends invoices"),
        (13, "    every night."),
    ]


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ('<ItemGroup><PackageReference Include="Json" Version="13.0" /></ItemGroup>',
         'ItemGroup\n  PackageReference Include="Json" Version="13.0"'),
        ('<resources><string name="app">Allma</string></resources>',
         'resources\n  string name="app": Allma'),
        ('<xs:element xmlns:xs="http://www.w3.org/2001/XMLSchema" name="invoice"/>',
         'xs:element name="invoice"'),
        ("<dict><key>Name</key><string>Allma</string><key>On</key><true/></dict>",
         "dict\n  Name: Allma\n  On: true"),
        ("<p>All of <b>it</b> is &lt;text&gt;<![CDATA[ & more]]></p>",
         "All of it is <text> & more"),
        ("<list><item>one</item><item>two</item></list>", "list\n\none\n\ntwo"),
        ("<programlisting>\n  if x:\n    y\n</programlisting>", "if x:\n  y"),
        ("<r><a>caf&eacute; &nope;</a></r>", "r\n  a: café &nope;"),
        ('<!DOCTYPE r [<!ENTITY co "Acme">]><r><a>&co; Ltd</a></r>', "r\n  a: Acme Ltd"),
    ],
)  # fmt: skip
def test_text_and_values_are_kept(source: str, text: str) -> None:
    assert read(source).text == text


def test_sections_of_a_book_follow_its_titles() -> None:
    extract = read(
        "<book><info><title>Tides</title></info><chapter><title>Spring</title><para>High.</para>"
        "<section><title>Moon</title><para>Full.</para></section></chapter></book>"
    )
    assert extract.title == "Tides"
    assert [s.heading for s in extract.sections][-2:] == [
        ("Tides", "Spring"),
        ("Tides", "Spring", "Moon"),
    ]


FEED = """
<?xml version="1.0" encoding="utf-8"?>
<rss version="2.0" xmlns:content="http://purl.org/rss/1.0/modules/content/"><channel>
<title>News &amp; views</title><link>https://example.org/</link>
<item>
  <title>For List&lt;String&gt; &amp;amp; Map</title>
  <link>https://example.org/1</link><pubDate>Mon, 01 Jan 2024 10:00:00 GMT</pubDate>
  <description>Short text&nbsp;here</description>
  <content:encoded><![CDATA[
<p>It is <b>old</b>.</p>
<ul><li>one</li>
<li>two</li></ul>]]></content:encoded>
</item>
<item><description>&lt;p&gt;No title, &amp;euro;5&lt;/p&gt;</description></item>
</channel></rss>
"""


def test_a_feed_is_read_item_by_item_with_its_markup_decoded() -> None:
    extract = read(FEED, "news.rss")
    assert extract.title == "News & views"
    assert numbered(extract) == [
        (4, "News & views"),
        (4, "link: https://example.org/"),
        (6, "For List<String> & Map"),
        (7, "link: https://example.org/1"),
        (7, "pubDate: Mon, 01 Jan 2024 10:00:00 GMT"),
        (8, "Short text here"),
        (10, "It is old."),
        (11, "- one"),
        (12, "- two"),
        (14, "item"),
        (14, "No title, €5"),
    ]
    assert extract.sections[1].heading == ("News & views", "For List<String> & Map")


def test_an_atom_entry_has_its_link_author_and_text() -> None:
    extract = read(
        '<feed xmlns="http://www.w3.org/2005/Atom"><title>F</title><entry>'
        '<title type="html">A &lt;b&gt;bold&lt;/b&gt; one</title><link href="https://example.org/2"/>'
        "<author><name>Ann</name></author>"
        '<content type="xhtml"><div><p>One</p><p>Two</p></div></content></entry></feed>'
    )
    assert extract.text == (
        "F\n\nA bold one\n\nlink: https://example.org/2\nauthor: Ann\n\nOne Two"
    )


def test_the_text_in_a_drawing_is_read() -> None:
    assert reader_for(PurePath("plan.svg")) is xml_reader.read
    drawing = (
        b"<svg><title>Plan</title><style>p {}</style><g><text><tspan>Kitchen</tspan>"
        b"<tspan>12 m</tspan></text><path d='M0'/><text>Hall</text></g></svg>"
    )
    extract = xml_reader.read(drawing, PurePath("plan.svg"))
    assert (extract.title, extract.text) == ("Plan", "Plan\n\nKitchen 12 m\n\nHall")
    with pytest.raises(NothingToIndex):
        xml_reader.read(b"<svg><path d='M0 0'/></svg>", PurePath("line.svg"))


@pytest.mark.parametrize(
    "source",
    ["<r><a>broken", "<r>AT&T</r>", "<a/><b/>", "just words", "<r a=1>x</r>"],
)
def test_malformed_xml_is_read_as_text_with_a_notice(source: str) -> None:
    extract = read(source)
    assert extract.text == source
    assert "read as plain text" in extract.metadata["note"]


@pytest.mark.parametrize("encoding", ["utf-16", "iso-8859-5", "utf-8"])
def test_the_encoding_is_the_declared_one(encoding: str) -> None:
    source = f"<?xml version='1.0' encoding='{encoding}'?><p>мост через реку</p>"
    assert read(source.encode(encoding)).text == "мост через реку"


def test_entities_neither_open_files_nor_grow(tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("hidden words")
    opened = read(f'<!DOCTYPE r [<!ENTITY x SYSTEM "{secret.as_uri()}">]><r><a>&x;</a></r>')
    assert opened.text == "r\n  a: &x;"
    laughs = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 12))
    bomb = f'<!DOCTYPE r [<!ENTITY l0 "lol">{laughs}]><r a="&l11;">&l11;</r>'
    assert len(read(bomb).text) < 2 * len(bomb)
    many = f'<!DOCTYPE r [<!ENTITY x "{"x" * 900}">]><r>{"&x;" * 100_000}</r>'
    assert len(read(many).text) < 2_000_000


HOSTILE = {
    "nested": "<a>" * 50_000 + "needle" + "</a>" * 50_000,
    "nested sections": "<section><title>needle</title>" * 5_000 + "</section>" * 5_000,
    "unclosed": "<a>" * 200_000 + "needle",
    "one line": "<r>" + "<i a='1'>word</i>" * 100_000 + "needle</r>",
    "one text": "<r>" + "word " * 1_000_000 + "needle</r>",
    "attributes": "<r " + " ".join(f"a{n}='1'" for n in range(50_000)) + ">needle</r>",
    "comments": "<r>needle<a/>" + "<!-- x -->" * 100_000 + "</r>",
    "drawing": "<svg>" + "<g>" * 50_000 + "<text>needle</text>" + "</g>" * 50_000 + "</svg>",
}


@pytest.mark.parametrize("source", HOSTILE.values(), ids=HOSTILE)
def test_hostile_files_are_read_completely_within_seconds(source: str) -> None:
    begun = time.process_time()
    assert "needle" in read(source).text
    assert time.process_time() - begun < 10


def test_line_numbers_are_correct_in_long_files() -> None:
    source = (
        "<r>\n" + "".join(f"<!-- \n -->\n<a b='1'\n>v{n}</a>\n" for n in range(20_000)) + "</r>"
    )
    file = source.split("\n")
    rows = numbered(read(source))
    assert len(rows) == 20_001
    assert all(text.split(": ")[1] in file[line - 1] for line, text in rows[1:])


def test_the_name_of_an_entry_is_kept() -> None:
    content = b'<properties><entry key="colour">red</entry><item name="size">7</item></properties>'
    text = xml_reader.read(content, PurePath("a.xml")).text
    assert 'entry key="colour": red' in text and 'item name="size": 7' in text
