"""Recognise questions in any script: by their marks, question words and final particles.

A question mark is often left out of a search, so the interrogatives of the larger languages are
here. The list is not meant to be complete: a question taken for a topic is ranked only a little
worse. Words that mean something else in English or in code (come, var, co) are
left out, and so are those for "how to", which name a topic.
"""

import re

from allma_server._internal.word_forms import fold

_MARK = re.compile("[?\uff1f\u061f\u1367\u2047]\\W*$")
"""Of Latin and Cyrillic; Chinese and Japanese; Arabic; Ethiopic; doubled."""
_ARMENIAN_MARK = "\u055e"
"""Inside the word that is asked about."""
_GREEK_MARK = (";", "\u037e")
_GREEK = re.compile("[\u0370-\u03ff\u1f00-\u1fff]")

_ENGLISH = re.compile(
    r"\W*(what|who|whom|whose|which|when|where|why|how(?!\s+to\b)|is|are|was|were|does|do|did|can"
    r"|could|has|have|had|should|will|would)\b",
    re.IGNORECASE,
)

_FIRST_WORDS = frozenset(
    map(
        fold,
        """
        wer wem wen wann wo woher wohin warum wieso weshalb wie welche welcher welches darf muss
        wanneer waar waarom hoe welke hvem hvad hvorfor hvordan hvor vem vad varför miksi mikä missä
        qui quoi quand où pourquoi comment quel quelle quels quelles combien
        quién cuándo dónde cómo cuál cuánto cuántos quem onde qual quais quanto quantos
        cosa quando dove perché quale kto kiedy gdzie dlaczego jak który nasıl nerede neden kaç
        apa apakah siapa kapan mengapa bagaimana berapa
        кто что чем когда где куда откуда почему зачем как какой какая какие сколько можно хто де
        какого какому каком каким каких которого котором welchem welchen
        ποιος ποια ποιο ποιοι ποιες τι πότε πού γιατί πώς πόσο πόση πόσοι πόσες πόσα
        هل ما ماذا متى أين لماذا كيف كم آیا چرا کجا چگونه چطور کیا کیوں کیسے
        האם מי מה מתי איפה למה מדוע איך כיצד כמה
        """.split(),
    )
)
"""They begin a question, some after a preposition; further on they are conjunctions."""

_INSIDE = re.compile(
    "什[么麼]|怎|多少|多久|多[长長]|哪|[谁誰]|[几幾][天点點个個次]|(.)不\\1"
    "|なぜ|どう[しやすなで]|どこ|いつ|どれ|どの|どんな|いくつ|いくら|何[をがにで時日回人度]"
    "|(?<!\\w)(?:언제|어디|어떻게|얼마|누가|누구|무엇|몇|며칠|왜)"
    "|ใคร|อะไร|เมื่อไ|ทำไม|ไหน|อย่างไร|ยังไง|กี่|เท่าไ|แค่ไหน"
    "|ຫຍັງ|ເທົ່າໃດ|ဘယ်|ဘာ|អ្វី|ប៉ុន្មាន"
    "|(?<!\\S)(?:क्या|कौन|कब|कहा[ँं]|क्यों|कैसे|किस|कितन[ाेी]|কখন|কোথায়|কেন|কীভাবে|ஏன்|எப்படி|எங்கே)(?!\\S)"
    "|(?<!\\w)(?:ли|чи|bao nhiêu|bao lâu|khi nào|ở đâu|thế nào|tại sao)(?!\\w)"
    "|\\s(?:m[iıuü]|m[iıuü]y[iıuü]m|m[iıuü]s[iıuü]n)\\W*$"  # Turkish, at the end
)
"""They count anywhere: word order is free in these languages, or words are not separated."""

_LAST_WORDS = tuple(
    "か かな 吗 嗎 呢 么 까 까요 나요 가요 는지 은지 있나 ไหม มั้ย หรือ หรือไม่ หรือเปล่า ບໍ່ လား ទေ".split()
)
"""Particles and endings that make a sentence a question."""


def asks(query: str) -> bool:
    """Return whether a query is a question, by its form."""
    end = query.rstrip(" .!\u3002\uff01")
    return bool(
        _MARK.search(query)
        or _ENGLISH.match(query)
        or _ARMENIAN_MARK in query
        or (end.endswith(_GREEK_MARK) and _GREEK.search(query))
        or any(fold(word) in _FIRST_WORDS for word in re.findall(r"\w+", query[:100])[:2])
        or _INSIDE.search(query)
        or end.endswith(_LAST_WORDS)
    )
