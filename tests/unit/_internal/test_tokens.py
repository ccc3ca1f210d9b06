import unicodedata

import pytest

from allma_server._internal.tokens import STOP_WORDS, index_terms, lexemes, query_terms


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("getHTTPResponse", ["gethttpresponse", "get", "http", "respons"]),
        ("snake_case_name", ["snake_case_name", "snake", "case", "name"]),
        ("__init__ _private", ["init", "privat"]),
        ("utf8 utf-8", ["utf8", "utf", "8", "utf", "8"]),
        ("C++ C++17 C# i", ["c++", "c++", "17", "c#", "i"]),
        ("foo-bar", ["foo", "bar"]),
        ("os.path.join", ["os", "path", "join"]),
        ("1.0.21", ["1.0.21", "1", "0", "21"]),
        ("v1.0.21", ["1.0.21", "1", "0", "21"]),
        ("1,234,567 rows", ["1234567", "row"]),
        ("1,2 and 3", ["1", "2", "and", "3"]),
        ("日本語", ["日", "日本", "本", "本語", "語"]),
        ("한국어", ["한", "한국", "국", "국어", "어"]),
        ("ภาษาไทย", ["ภาษ", "าษา", "ษาไ", "าไท", "ไทย"]),
        ("Ünïcode", ["unicod"]),
        ("Straße STRASSE", ["strass", "strass"]),
        ("don't don’t Biden's Biden’s", ["dont", "dont", "biden", "biden"]),
        ("ship 🚀 it", ["ship", "🚀", "it"]),
        ("ﬁle Ⅳ ｆｕｌｌ", ["file", "iv", "full"]),
        ("إِسْلَام", ["اسلام"]),
        ("הַשָּׁלוֹם", ["השלומ", "שלומ"]),
        ("नमस्ते दुनिया", ["नमस्त", "दुनिय"]),
        ("青いりんご", ["青", "青い", "いり", "りん", "んご"]),
        ("Привет, МИР", ["привет", "мир"]),
        ("running runs runner", ["run", "run", "runner"]),
        ("", []),
        (" \n\t…—!?", []),
    ],
)
def test_a_text_yields_its_terms(text: str, terms: list[str]):
    assert lexemes(text) == terms


@pytest.mark.parametrize("text", ["Ünïcode café", "Việt Nam", "한국어", "ＡＢＣ", "ガギグ"])
def test_composed_and_decomposed_spellings_yield_the_same_terms(text: str):
    forms = [unicodedata.normalize(form, text) for form in ("NFC", "NFD", "NFKC", "NFKD")]
    assert len({tuple(lexemes(form)) for form in forms}) == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("المكتبة", "والمكتبة"), ("المكتبة", "للمكتبة"), ("مكتبة", "بالمكتبة"),
        ("موظف", "الموظفين"),
        ("كتاب", "كِتَاب"), ("کتاب", "كتاب"), ("کتاب‌ها", "کتابها"),
        ("הספרייה", "ספרייה"), ("בספרייה", "הספרייה"), ("ספרים", "הספרים"),
        ("हिन्दी", "हिंदी"), ("पाँच", "पांच"), ("ज़रूरी", "जरूरी"), ("रुपये", "रुपए"),
        ("किताबें", "किताब"),
        ("क्‍या", "क्या"), ("बैटरी", "बैटरी"),
        ("புத்தகங்கள்", "புத்தகம்"),
        ("книги", "книгой"), ("Ёлка", "елка"), ("бібліотека", "бібліотеки"),
        ("φίλτρου", "ΦΙΛΤΡΟ"), ("φίλτρα", "φιλτρα"), ("δίσκος", "δίσκο"),
        ("ısı", "ISI"), ("İstanbul", "istanbul"), ("điện", "dien"), ("Łódź", "lodz"),
        ("smørrebrød", "smorrebrod"),
    ],
)  # fmt: skip
def test_forms_and_spellings_of_a_word_share_a_term(one: str, other: str):
    assert set(lexemes(one)) & set(lexemes(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("مكتبة", "مكتوب"), ("الملك", "الملح"), ("книга", "кнопка"), ("φίλτρο", "φίλος"),
        ("बैंक", "बैटरी"), ("שלום", "שלחן"), ("mal", "mil"),
    ],
)  # fmt: skip
def test_other_words_share_no_term(one: str, other: str):
    assert not set(lexemes(one)) & set(lexemes(other))


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("Vertrag", "Der Mietvertrag läuft über zwölf Monate."),
        ("Frist für die Kündigung", "Die Kündigungsfrist beträgt drei Monate für Mieter."),
        ("kirja", "Kirjastossa on äänikirjoja ja tämä päivä."),
        ("şifremi", "Şifre değiştirmek için ayarları açın, çok kolay."),
    ],
)  # fmt: skip
def test_a_word_finds_compounds_and_inflected_forms(query: str, text: str):
    assert set(query_terms(query).parts) & set(index_terms(text))


@pytest.mark.parametrize(
    "text",
    [
        "An agreement runs for twelve months.",
        "“Curly quotes” – and dashes: the agreement runs…",
        "The café of Mr. Müller is closed, and so is the other one. " + "We met there often. " * 9,
    ],
)
def test_english_text_has_no_parts(text: str):
    assert index_terms(text) == lexemes(text)


def test_decomposed_text_has_the_same_parts():
    text = "Die Kündigungsfrist beträgt drei Monate für Mieter."
    assert index_terms(unicodedata.normalize("NFD", text)) == index_terms(text) != lexemes(text)


@pytest.mark.parametrize("query", ["電池交換", "แบตเตอรี่"])
def test_overlapping_terms_are_no_pairs(query: str):
    assert query_terms(query).unspaced and not query_terms(query).pairs


def test_an_english_query_has_no_parts():
    assert not query_terms("how to restart the information service").parts
    assert query_terms("Heizung").parts == ("_heizu", "_izung")


@pytest.mark.parametrize(
    ("phrase", "text"),
    [
        ("read the file", "we read the file first"),
        ("getHTTPResponse failed", "when getHTTPResponse failed twice"),
        ("本語", "日本語テキスト"),
        ("version 1.0.21", "since version 1.0.21 it works"),
    ],
)
def test_a_phrase_yields_the_same_run_of_terms_alone_and_inside_a_text(phrase: str, text: str):
    assert f" {' '.join(lexemes(phrase))} " in f" {' '.join(lexemes(text))} "


def test_ascii_text_yields_the_same_terms_alone_and_beside_other_letters():
    text = "C++ c# ABC++ v1.2.3 vb1.5 1.2 1,234 1,2 don't a's _x __init__ x_ x86_64 utf8 3D e2e a"
    assert lexemes(f"{text} é") == [*lexemes(text), "e"]


def test_no_term_is_longer_than_64_characters_or_holds_a_space():
    text = "x" * 500 + " " + "aB" * 300 + " " + "y_" * 200
    assert all(len(term) <= 64 and " " not in term for term in lexemes(text))


@pytest.mark.parametrize(
    "text", ["\u064b \u064e", "ـ", "\u093c", "\u200d", "\u0301", "و", "ال", "ה"]
)
def test_no_term_is_empty(text: str):
    assert all(lexemes(text))


def test_stop_words_are_searched_for_only_when_nothing_else_is_left():
    assert query_terms("what is the total").searched == {"total": 1}
    assert query_terms("who are you").searched == {"who": 1, "are": 1, "you": 1}
    assert query_terms("?!").searched == {}
    assert {"the", "of"} < STOP_WORDS and "list" not in STOP_WORDS


def test_capitals_make_a_stop_word_a_name():
    assert query_terms("the IT budget").terms == ("it", "budget")


def test_a_term_counts_as_often_as_the_question_has_it():
    terms = query_terms("sorting: sort the sorted list")
    assert terms.terms == ("sort", "list")
    assert terms.searched == {"sort": 3, "list": 1}


def test_pairs_are_adjacent_words_without_a_stop_word_between():
    assert query_terms("heat transfer in slabs").pairs == {("heat", "transfer")}


def test_quoted_words_are_a_phrase_in_any_kind_of_quotes():
    for query in ('find "exact phrase"', "find “exact phrase”", "find `exact phrase`"):
        assert query_terms(query).phrases == (("exact", "phrase"),)
    assert query_terms('an "unclosed quote').phrases == ()


@pytest.mark.parametrize(
    ("query", "prefixes"),
    [
        ("conf* of the engine", ("conf",)),
        ("getUser* or Grüß*", ("getuser", "gruss")),
        ("a*b **bold** * c* x**2 *.md", ()),
    ],
)
def test_a_word_with_a_star_is_the_beginning_of_words(query: str, prefixes: tuple[str, ...]):
    assert query_terms(query).prefixes == prefixes


@pytest.mark.parametrize(
    ("query", "paths"),
    [
        ("fusion.py", (("fusion", "py"),)),
        ("what does src/search/select.py do", (("src", "search", "select", "py"),)),
        ("storage\\sqlite", (("storag", "sqlite"),)),
        (".gitignore and ../notes.md", (("gitignor",), ("note", "md"))),
        ("The end. Version 1.0.21, or 3.5 of it", ()),
    ],
)
def test_file_names_and_parts_of_paths_are_recognised(
    query: str, paths: tuple[tuple[str, ...], ...]
):
    assert query_terms(query).paths == paths
