"""The language of the last instruction: that of the sources, if the question is in it as well."""

from dataclasses import replace

import pytest

from allma_server.answering.languages import ENGLISH, answer_style
from allma_server.answering.prompts import build_prompt
from tests.unit.answering.test_prompts import PASSAGE

GERMAN = "Die Miete beträgt 980 Euro im Monat. Haustiere sind nicht erlaubt, ausgenommen Fische."
ENGLISH_TEXT = "The rent is 980 euros a month. Pets are not allowed, except for fish."
CODE = "import os\nfor i in os.listdir(a):\n    for e in b[i]:\n        o = os.path.join(a, e)\n"


def style(question: str, *texts: str) -> str:
    return answer_style(question, [replace(PASSAGE, text=text) for text in texts])


@pytest.mark.parametrize(
    ("question", "text", "word"),
    [
        ("Wie hoch ist die Miete?", GERMAN, "Deutsch"),
        ("Miete 2024", GERMAN, "Deutsch"),
        ("Quel est le prix ?", "L'entrée du musée coûte 12 euros pour les adultes.", "français"),
        ("¿Quién construyó el faro?", "El faro fue construido en 1871 por Ida Lind.", "español"),
        ("Quem construiu o farol?", "O farol não foi construído na costa por ela.", "português"),
        ("Chi ha costruito il faro?", "Il faro fu costruito nel 1871 da Ida Lind.", "italiano"),
        ("Wie heeft de vuurtoren gebouwd?", "De vuurtoren werd gebouwd door Ida.", "Nederlands"),
        ("Kto zbudował latarnię?", "Latarnię zbudowała Ida Lind, która jest inżynierem.", "polsku"),
        ("Vem byggde fyren?", "Fyren byggdes av Ida Lind och är 30 meter hög.", "svenska"),
        ("Hvem byggede fyret?", "Fyret blev bygget af Ida Lind og er 30 meter højt.", "dansk"),
        ("Hvem bygget fyret?", "Fyret ble bygget av Ida Lind, hva nå enn det heter.", "norsk"),
        ("Deniz fenerini kim yaptı?", "Deniz feneri Ida Lind ve kardeşi için bir anıt.", "Türkçe"),
        ("Кто построил маяк?", "Маяк был построен в 1871 году.", "русски"),
        ("Хто збудував маяк?", "Маяк збудувала в 1871 році Іда Лінд.", "українською"),
        ("Кой построи фара?", "Фарът е построен през 1871 година от Ида Линд.", "български"),
        ("Ποιος έχτισε τον φάρο;", "Ο φάρος χτίστηκε το 1871 από την Ίντα Λιντ.", "ελληνικά"),
        ("من بنى المنارة؟", "بنت المنارة إيدا ليند في سنة 1871.", "العربية"),
        ("מי בנה את המגדלור?", "המגדלור נבנה בשנת 1871.", "בעברית"),
        ("प्रकाशस्तंभ किसने बनाया?", "प्रकाशस्तंभ को 1871 में एक महिला ने बनाया।", "हिन्दी"),
        ("谁建造了灯塔？", "灯塔是伊达·林德在1871年建造的。", "中文"),
        ("誰建造了燈塔？", "燈塔是1871年建造的，這個時間沒有人說過。", "繁體"),
        ("灯台を建てたのは誰ですか。", "灯台は1871年にイダ・リンドが建てました。", "日本語"),
        ("누가 등대를 세웠나요?", "등대는 1871년에 이다 린드가 세웠다.", "한국어"),
        ("ใครสร้างประภาคาร", "ประภาคารสร้างในปี 1871", "ภาษาไทย"),
    ],
)  # fmt: skip
def test_it_is_that_of_the_question_and_its_sources(question: str, text: str, word: str) -> None:
    assert word in style(question, text)


@pytest.mark.parametrize(
    ("question", "texts"),
    [
        ("How high is the rent?", [ENGLISH_TEXT]),
        ("rent 2024", [ENGLISH_TEXT]),
        # The answer could not be compared with its sources.
        ("Wie hoch ist die Miete?", [ENGLISH_TEXT]),
        ("How high is the rent?", [GERMAN]),
        ("Quel est le prix de la location ?", [GERMAN]),
        # Code has short words of many languages.
        ("listdir", [CODE, CODE]),
        ("os.path", ["os.getcwd()", "as do no"]),
        ("", []),
    ],
)
def test_it_is_english_where_they_differ_or_nothing_tells(question: str, texts: list[str]) -> None:
    assert style(question, *texts) == ENGLISH


def test_it_ends_the_prompt() -> None:
    passages = [replace(PASSAGE, text=GERMAN)]
    prompt = build_prompt("Wie hoch ist die Miete?", [], passages, 4096)
    assert prompt.messages[-1].content.endswith("auf Deutsch.")
    # The gate has the same beginning.
    assert prompt.gate[-1].content.startswith(prompt.messages[-1].content.partition("Antworte")[0])
