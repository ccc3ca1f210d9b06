from pathlib import PurePath

import pytest

from allma_server.documents.readers import text as text_reader
from allma_server.documents.readers.decoding import decode
from allma_server.documents.readers.text import clean, elide_base64, is_blank
from allma_server.errors import NothingToIndex

RUSSIAN = "Съешь же ещё этих мягких французских булок, да выпей чаю.\n" * 12
JAPANESE = "吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。\n" * 12
CHINESE = "天地玄黄，宇宙洪荒。日月盈昃，辰宿列张。寒来暑往，秋收冬藏。\n" * 12
FRENCH = "Les élèves ont été très étonnés à la fenêtre où l'été brûlait.\n" * 12


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (RUSSIAN, "utf-8"),
        (RUSSIAN, "koi8-r"),
        (RUSSIAN, "cp1251"),
        (RUSSIAN, "utf-8-sig"),
        (RUSSIAN, "utf-16"),
        (RUSSIAN, "utf-16-le"),
        (RUSSIAN, "utf-16-be"),
        (RUSSIAN, "utf-32"),
        (JAPANESE, "shift_jis"),
        (JAPANESE, "euc_jp"),
        (JAPANESE, "iso2022_jp"),
        (CHINESE, "gb18030"),
        (FRENCH, "cp1252"),
        ("Città di Forlì", "cp1252"),
        ("Привет мир", "cp1251"),
        ("Привет, как дела? Сегодня хорошая погода, и мы идём в парк.", "koi8-r"),
        ("Le café près de l’église est fermé à cause de la grève.", "cp1252"),
        ("Günaydın, İstanbul'da hava çok güzel; şöyle bir yürüyüş.", "cp1254"),
        ("Příliš žluťoučký kůň úpěl ďábelské ódy.", "cp1250"),
        ("這是一個中文檔案，用來測試編碼偵測的結果。今天天氣很好。", "big5"),
        ("이것은 한국어 문서입니다. 인코딩 감지를 시험하고 있습니다.", "euc_kr"),
        ("plain english", "utf-16-be"),
        ("[1]", "utf-16-le"),
    ],
)
def test_text_in_any_encoding_is_decoded(text: str, encoding: str) -> None:
    assert decode(text.encode(encoding)) == text


LANGUAGES = {
    "Polish": (
        (
            "Wszyscy ludzie rodzą się wolni i równi pod względem swej godności i swych praw. "
            "Są oni obdarzeni rozumem i sumieniem."
        ),
        "cp1250 iso8859_2 cp852",
    ),
    "Czech": (
        (
            "Všichni lidé rodí se svobodní a sobě rovní co do důstojnosti a práv. Jsou nadáni"
            " rozumem a svědomím."
        ),
        "cp1250 iso8859_2 cp852",
    ),
    "Slovak": (
        "Všetci ľudia sa rodia slobodní a sebe rovní, čo sa týka ich dôstojnosti a práv.",
        "cp1250 iso8859_2",
    ),
    "Hungarian": (
        (
            "Minden emberi lény szabadon születik és egyenlő méltósága és joga van. Az "
            "emberek ésszel és lelkiismerettel bírván egymással szemben testvéri szellemben "
            "kell hogy viseltessenek."
        ),
        "cp1250 iso8859_2",
    ),
    "Croatian": (
        (
            "Sva ljudska bića rađaju se slobodna i jednaka u dostojanstvu i pravima. Ona su "
            "obdarena razumom i sviješću i trebaju jedna prema drugima postupati u duhu "
            "bratstva."
        ),
        "cp1250 iso8859_2",
    ),
    "Romanian": (
        (
            "Toate fiinţele umane se nasc libere şi egale în demnitate şi în drepturi. Ele "
            "sunt înzestrate cu raţiune şi conştiinţă."
        ),
        "cp1250 iso8859_2",
    ),
    "Lithuanian": (
        (
            "Visi žmonės gimsta laisvi ir lygūs savo orumu ir teisėmis. Jiems suteiktas "
            "protas ir sąžinė."
        ),
        "cp1257 iso8859_13",
    ),
    "Latvian": (
        (
            "Visi cilvēki piedzimst brīvi un vienlīdzīgi savā pašcieņā un tiesībās. Viņi ir "
            "apveltīti ar saprātu un sirdsapziņu."
        ),
        "cp1257 iso8859_13",
    ),
    "Estonian": (
        "Kõik inimesed sünnivad vabadena ja võrdsetena oma väärikuselt ja õigustelt.",
        "cp1257 cp1252",
    ),
    "Russian": (
        "Все люди рождаются свободными и равными в своём достоинстве и правах.",
        "cp1251 koi8_r iso8859_5 cp866",
    ),
    "Ukrainian": (
        "Всі люди народжуються вільними і рівними у своїй гідності та правах.",
        "cp1251 koi8_u",
    ),
    "French": (
        (
            "Tous les êtres humains naissent libres et égaux en dignité et en droits. Ils "
            "sont doués de raison et de conscience."
        ),
        "cp1252 iso8859_15 cp850 mac_roman",
    ),
    "German": (
        (
            "Alle Menschen sind frei und gleich an Würde und Rechten geboren. Sie sollen "
            "einander im Geiste der Brüderlichkeit begegnen; das gehört überall dazu."
        ),
        "cp1252 iso8859_15 cp850 mac_roman",
    ),
    "Italian": (
        (
            "Tutti gli esseri umani nascono liberi ed eguali in dignità e diritti. La libertà"
            " è di ciascuno."
        ),
        "cp1252 iso8859_15",
    ),
    "Portuguese": (
        (
            "Todos os seres humanos nascem livres e iguais em dignidade e em direitos. São "
            "dotados de razão e de consciência."
        ),
        "cp1252 iso8859_15",
    ),
    "Finnish": (
        (
            "Kaikki ihmiset syntyvät vapaina ja tasavertaisina arvoltaan ja oikeuksiltaan. "
            "Heille on annettu järki ja omatunto."
        ),
        "cp1252 iso8859_15",
    ),
    "Turkish": (
        (
            "Bütün insanlar hür, haysiyet ve haklar bakımından eşit doğarlar. Akıl ve vicdana"
            " sahiptirler."
        ),
        "cp1254 iso8859_9",
    ),
    "Greek": (
        ("Όλοι οι άνθρωποι γεννιούνται ελεύθεροι και ίσοι στην αξιοπρέπεια και τα δικαιώματα."),
        "cp1253 iso8859_7",
    ),
    "Japanese": (
        ("すべての人間は、生まれながらにして自由であり、かつ、尊厳と権利とについて平等である。"),
        "shift_jis euc_jp",
    ),
    "Simplified Chinese": (
        "人人生而自由，在尊严和权利上一律平等。他们赋有理性和良心。",
        "gb18030",
    ),
    "Traditional Chinese": (
        "人人生而自由，在尊嚴和權利上一律平等。他們賦有理性和良心。",
        "big5",
    ),
    "Korean": (
        "모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다.",
        "euc_kr",
    ),
}


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        pytest.param(text, encoding, id=f"{language} in {encoding}")
        for language, (text, encodings) in LANGUAGES.items()
        for encoding in encodings.split()
    ],
)
@pytest.mark.parametrize("times", [1, 12])
def test_the_encoding_is_detected_by_the_language(text: str, encoding: str, times: int) -> None:
    text = f"{text}\n" * times
    assert decode(text.encode(encoding)) == text


CODE = """def total(prices):
    # add up what is in the basket
    return sum(price.amount for price in prices if price.amount > 0)


"""


@pytest.mark.parametrize(
    ("words", "encoding"),
    [
        ("the café of Señor Müller", "cp1252"),
        ("© 2020 Acme “Tools” – don’t panic, it’s only 10 °C", "cp1252"),
        ("Łódź, Dvořák", "cp1250"),
        ("ошибка: файл не найден", "cp1251"),
        ("ошибка: файл не найден", "koi8_r"),
        ("設定ファイルを読む", "shift_jis"),
        ("读取配置文件", "gb18030"),
        ("설정 파일을 읽는다", "euc_kr"),
    ],
)
def test_few_foreign_words_in_english_text_determine_the_encoding(
    words: str, encoding: str
) -> None:
    text = f"{CODE * 15}# {words}\n{CODE * 15}"
    assert decode(text.encode(encoding)) == text


@pytest.mark.parametrize("name", ["punycode", "idna", "unicode_escape", "utf-7", "zlib", "rot13"])
def test_an_impossible_declared_encoding_is_ignored(name: str) -> None:
    text = "Grüße aus Köln: +AGE- \\u0041"
    assert decode(text.encode("cp1252"), name) == text


def test_a_declared_encoding_is_read_as_browsers_do() -> None:
    assert decode("“5 €”".encode("cp1252"), "iso-8859-1") == "“5 €”"
    assert decode("①".encode("cp932"), "shift_jis") == "①"


def test_one_long_line_is_read_quickly() -> None:
    assert decode(b"x" * 3_000_000 + "é".encode("cp1252")) == "x" * 3_000_000 + "é"


def test_an_encoding_the_file_declares_is_preferred_to_a_guess() -> None:
    assert decode("Grüße".encode("latin-1"), "latin-1") == "Grüße"


def test_a_declaration_does_not_override_the_bytes() -> None:
    assert decode("Grüße".encode(), "latin-1") == "Grüße"


def test_an_unknown_declared_encoding_is_ignored() -> None:
    assert decode(FRENCH.encode("cp1252"), "x-no-such-thing") == FRENCH


def test_utf8_with_a_few_damaged_bytes_stays_utf8() -> None:
    data = RUSSIAN.encode()
    damaged = decode(data[:50] + b"\xff" + data[50:])
    assert damaged.count("\ufffd") <= 3
    assert damaged.endswith(RUSSIAN[60:])


def test_a_truncated_last_character_affects_only_itself() -> None:
    assert decode(RUSSIAN.encode()[:-2]).startswith(RUSSIAN[:-2])


@pytest.mark.parametrize(
    "data", [b"key\0value\0" * 100, bytes(range(256)) * 8, b"\x01\x02\x03\x04"]
)
def test_binary_data_is_skipped(data: bytes) -> None:
    with pytest.raises(NothingToIndex, match="binary"):
        decode(data)


GREETING = "Grüße aus Köln und schöne Tage.\n" * 9
SOURCE = "def total(prices):\n    return sum(prices)\n"


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"def total(prices):\n    return \0sum(prices)\n", SOURCE.replace("sum", "\ufffdsum")),
        (b"\0" + SOURCE.encode(), "\ufffd" + SOURCE),
        (SOURCE.encode() + b"\0" * 4096 + b"# after a crash\n", SOURCE + "\ufffd# after a crash\n"),
        ("Grüße\0 aus Köln\n".encode(), "Grüße\ufffd aus Köln\n"),
        ("Grüße\0\n".encode("latin-1") + GREETING.encode("latin-1"), "Grüße\ufffd\n" + GREETING),
        (JAPANESE.encode() + b"\0", JAPANESE + "\ufffd"),
    ],
)
def test_a_stray_nul_byte_is_a_damaged_character(data: bytes, text: str) -> None:
    assert decode(data) == text


def test_all_line_endings_count_as_one() -> None:
    assert decode(b"one\r\ntwo\rthree\nfour\r\n\r\nsix") == "one\ntwo\nthree\nfour\n\nsix"


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("\x1b[31mERROR\x1b[0m failed\x07", "ERROR failed"),
        ("\x1b]0;title\x07prompt", "prompt"),
        ("zero\u200bwidth", "zerowidth"),
        ("safe \u202eevil\u202c text", "safe evil text"),
        ("e\u0301", "é"),
        ("\ufb01nd e\ufb03cient", "find efficient"),
        ("\uff21\uff22\uff23\uff11", "ABC1"),
        ("\ufe8d\ufedf\ufecc\ufeae\ufe91", "العرب"),
        ("x² ½ …", "x² ½ …"),
        ("（全角）", "（全角）"),
        ("page\x0cbreak", "page break"),
        ("\ud800 lone", "\ufffd lone"),
        ("👩\u200d👧", "👩\u200d👧"),
        ("a\nb", "a\nb"),
    ],
)
def test_clean_keeps_visible_and_drops_hidden_characters(text: str, cleaned: str) -> None:
    assert clean(text) == cleaned
    assert clean(cleaned) == cleaned


def test_text_of_invisible_characters_is_blank() -> None:
    assert is_blank(clean("\u200b\u200c\u2060\ufeff \n"))
    assert not is_blank(".")


def test_embedded_files_are_elided_within_their_line() -> None:
    payload = "iVBORw0KGgoAAAANSUhEUgAAAAE" * 40
    text = f"before\n![x](data:image/png;base64,{payload}) after\n"
    assert elide_base64(text) == "before\n![x](data:image/png;base64,…) after\n"


def test_elided_base64_keeps_its_line_count() -> None:
    line = "TWFuIGlzIGRpc3Rpbmd1aXNoZWQsIG5vdCBvbmx5IGJ5IGhpcyByZWFzb24sIGJ1dCAx\n"
    text = elide_base64("subject\n" + line * 5 + "end\n")
    assert text == "subject\n…\n\n\n\n\nend\n"


@pytest.mark.parametrize("word", ["x" * 5000, "a-very-" * 300, "0123456789" * 100])
def test_long_words_that_are_not_base64_are_kept(word: str) -> None:
    assert elide_base64(word) == word


def test_lines_of_the_text_are_lines_of_the_file() -> None:
    data = b"one\r\n\r\n\x1b[1mthree\x1b[0m\r\nfo\xe2\x80\x8bur"
    extract = text_reader.read(data, PurePath("notes.log"))
    assert extract.text.split("\n") == ["one", "", "three", "four"]


@pytest.mark.parametrize("data", [b"", b" \n\t\n", "\u200b\u2060".encode()])
def test_a_text_without_visible_characters_is_not_indexed(data: bytes) -> None:
    with pytest.raises(NothingToIndex):
        text_reader.read(data, PurePath("notes.txt"))
