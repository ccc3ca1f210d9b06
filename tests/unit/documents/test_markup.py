"""reStructuredText, AsciiDoc, Org, LaTeX, subtitles and translations."""

import time
from pathlib import PurePath

import pytest

from allma_server.documents.chunking import ChunkSettings, chunk
from allma_server.documents.readers import reader_for
from allma_server.types import Extract

RST = """\
=====
Guide
=====

Some text.

Install
=======

.. note:: no title

::

    Not a title
    -----------

=====  =====
a      b
=====  =====

Use :doc:`the tool <tool>`
--------------------------

text
----------

A second
========
"""
ASCIIDOC = """\
= Guide
Ann

== Install

----
== not a title
----

=== Steps ===

One.
"""
ORG = """\
#+TITLE: Guide
Before.
* TODO [#A] Install :work:
Text *bold*.
** Steps
*not a headline
"""
LATEX = r"""\documentclass{book}
\title{The \textbf{Guide}\thanks{all}}
% \section{commented}
\begin{verbatim}
\section{verbatim}
\end{verbatim}
\chapter{On {\LaTeX} \& more}
\section[short]{Two
lines}\label{two}
Text.
"""


def read(text: str, name: str) -> Extract:
    reader = reader_for(PurePath(name))
    assert reader is not None
    return reader(text.encode(), PurePath(name))


@pytest.mark.parametrize(
    ("name", "text", "title", "headings"),
    [
        ("a.rst", RST, "Guide",
         {1: ("Guide",), 7: ("Guide", "Install"), 21: ("Guide", "Install", "Use the tool"),
          24: ("Guide", "Install", "text"), 27: ("Guide", "A second")}),
        ("a.adoc", ASCIIDOC, "Guide",
         {1: ("Guide",), 4: ("Guide", "Install"), 10: ("Guide", "Install", "Steps")}),
        ("a.org", ORG, "Guide", {1: (), 3: ("Install",), 5: ("Install", "Steps")}),
        ("a.tex", LATEX, "The Guide", {1: (), 7: ("On & more",), 8: ("On & more", "Two lines")}),
    ],
)  # fmt: skip
def test_each_title_begins_a_section_at_its_line(
    name: str, text: str, title: str, headings: dict[int, tuple[str, ...]]
) -> None:
    extract = read(text, name)
    assert (extract.text, extract.title) == (text, title)
    found = {text.count("\n", 0, s.start) + 1: s.heading for s in extract.sections}
    assert found == headings


SRT = "".join(
    f"{i}\n01:{i // 60:02}:{i % 60:02},000 --> 01:{(i + 1) // 60:02}:{(i + 1) % 60:02},500\n"
    f"<i>Sentence number {i} is spoken.</i>\n\n"
    for i in range(1, 60)
)


def test_subtitles_are_found_at_their_times_and_lines() -> None:
    extract = read(SRT, "film.srt")
    first, *_, last = chunk(extract, "", ChunkSettings())
    assert first.text.startswith("Sentence number 1 is spoken.\nSentence number 2")
    assert first.heading[0].startswith("01:00:01–01:00:")
    assert last.heading[0].endswith("01:01:00") and last.end_line == 4 * 58 + 3
    assert first.start_line == 3 and "-->" not in extract.text
    vtt = "WEBVTT\n\nNOTE not spoken\n\n00:01.000 --> 00:03.000\n<v Ann>Hi <b>Bee</b>\nHi Bee\n"
    assert read(vtt, "film.vtt").text == "Hi Bee"


def test_messages_of_a_translation_stay_whole() -> None:
    head = 'msgid ""\nmsgstr ""\n"Language: de\\n"\n\n'
    entry = '#: main.c:1\nmsgid "Open the file {}"\nmsgstr "Datei {} öffnen"\n\n'
    text = head + "".join(entry.replace("{}", str(i)) for i in range(40))
    extract = read(text, "de.po")
    assert extract.metadata == {"messages": "41", "language": "de"}
    for each in chunk(extract, "", ChunkSettings())[1:]:
        assert each.text.startswith("#: main.c:1\nmsgid") and each.text.endswith('öffnen"')


@pytest.mark.parametrize("name", ["a.rst", "a.adoc", "a.org", "a.tex", "a.srt", "a.po"])
@pytest.mark.parametrize(
    "text",
    ["=" * 200_000, "\\section{" * 20_000, "* " * 100_000, '"{<' * 50_000, "a\n==\n" * 30_000],
)
def test_odd_files_take_little_time(name: str, text: str) -> None:
    began = time.process_time()
    assert read(text, name).text
    assert time.process_time() - began < 5
