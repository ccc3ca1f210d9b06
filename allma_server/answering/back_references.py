"""Decide whether a question needs the conversation, by what it lacks.

A question lacks something if a pronoun has no referent in it, if hardly any content word is left,
or if it begins in the middle ("and …", "what about …"). Words that often, but not always, point
back leave it in doubt: then it is searched both as it stands and with the conversation.
"""

import re
from typing import Literal

from allma_server.answering.evidence import content_words
from allma_server.answering.statements import read_statement

Dependence = Literal["none", "possible", "certain"]


def _words(*languages: str) -> re.Pattern[str]:
    words = "|".join(re.escape(word) for each in languages for word in each.split())
    return re.compile(rf"(?<!\w)(?:{words})(?!\w)", re.I)


_PRONOUNS = _words(
    "it its itself they them their theirs themselves he him his she her hers former latter",
    "er ihn ihm ihr ihre ihren ihrem ihrer sein seine seinen seinem seiner dessen deren damit "
    "dafür davon darüber dazu darin daran",
    "elle ils elles leur leurs celui celle ceux celles",
    "él ella ellos ellas suyo suya",
    "esso essa essi esse lui lei loro suo sua suoi",
    "hij zij hem haar hun ervan erover erin daarvan",
    "ele ela eles elas dele dela deles delas",
    "он она они его её ему ей их им нём ней",
)
"""Pronouns whose referent is a thing that was named."""

_FUNCTION_WORDS = _words(
    "one ones wie was wer wo wann warum welche welcher welches wen wem ist sind war waren hat "
    "haben kann man der die das den dem ein eine im in und",
    "que qui quoi quel quelle quels quelles combien comment où quand pourquoi est sont était a ont "
    "le la les un une de du des en et",
    "qué cuál cuáles quién cómo cuánto cuántos cuándo dónde es son era fue el los las una del y",
    "che chi quale quanto quanti quando dove come è sono il lo gli di",
    "wat wie welke hoe hoeveel wanneer waar is zijn was het een van",
    "o os as qual quais quem quanto quantos onde são foi um uma do da",
    "как какой какая какие кто что где когда сколько почему был была было",
)
"""Of other languages than English, whose stop words are not content words already."""

_CJK_PRONOUNS = re.compile(
    r"[它他她]们?|[这那]个?(?:东西|人|里|些)?|それ|これ|あれ|その|この|彼女?|そこ|그것|이것|그녀|거기"
)
"""Scripts without spaces have no borders of words; a referent before them is not looked for."""

_DOUBTFUL = _words(
    "this that these those there then such same above one ones another else other more instead",
    "sie es das dies diese dieser dieses diesen diesem jene dort dann andere anderen mehr",
    "il lui ce cela ça cette ces son sa ses y en autre autres là",
    "lo le les su sus esto eso este esta ese esa estos esas allí otro otra otros otras",
    "questo questa quello quella ciò ne suo gli altro altra altri lì",
    "het ze dit dat deze die daar andere ander",
    "isso isto esse essa este esta aquilo seu sua seus suas lá outro outra",
    "это этот эта эти этого там тот та такой другой другие",
)
"""Words that point back, or to something in the question, or to nothing."""

_HERE = re.compile(
    r"\b(?:this|these|the|our|my)\s+(?:\w+\s+)?(?:projects?|repo(?:sitory)?|code\s?base|code|"
    r"folders?|documents?|docs|documentation|files?|notes|workspace|library|package|app|"
    r"application|program)\b",
    re.I,
)
"""What the user sees beside the conversation, such as "this project"."""

_BEGINS_IN_THE_MIDDLE = re.compile(
    r"^\W*(?:what about|how about|why not|which one|how so|was ist mit|wie steht es|et pour|"
    r"qu'en est-il|¿?\s*y qué (?:tal|hay de)|e per|en hoe zit|а что|а как|那么?|では|じゃあ)(?!\w)",
    re.I,
)
_CONJUNCTION = re.compile(
    r"^\W*(?:and|but|or|so|then|also|plus|und|aber|oder|also|auch|et|mais|ou|alors|y|pero|o|"
    r"entonces|e|ed|ma|en|maar|of|mas|и|а|но|或|但|而|でも|그리고)(?!\w)",
    re.I,
)
_MIN_CONTENT_WORDS = 2
_FEW_CONTENT_WORDS = 2
_REFERENT_WORDS = 2
"""Content words before a pronoun, of which one may be what it stands for; one name is enough."""


def dependence(question: str) -> Dependence:
    """Return whether a question lacks what only the conversation can supply.

    `possible` if it may also be whole.
    """
    is_here = _HERE.search(question) is not None
    text = _HERE.sub("project", question)
    if len(_content(text)) < _MIN_CONTENT_WORDS and not is_here:
        return "certain"
    if _BEGINS_IN_THE_MIDDLE.search(text) or _CJK_PRONOUNS.search(text):
        return "certain"
    if (pronoun := _PRONOUNS.search(text)) is not None:
        before = text[: pronoun.start()]
        has_referent = len(_content(before)) >= _REFERENT_WORDS or read_statement(before).names
        return "possible" if has_referent else "certain"
    if _DOUBTFUL.search(text) or _CONJUNCTION.search(text):
        return "possible"
    return "possible" if not is_here and _is_bare(text) else "none"


def _content(text: str) -> frozenset[str]:
    return frozenset(word for word in content_words(text) if not _FUNCTION_WORDS.fullmatch(word))


def _is_bare(text: str) -> bool:
    """Return whether a question names nothing: it has no name, number or code, and says little.

    "the rally", "the third patient" may be whole, or be what the conversation was about.
    """
    if re.search(r"(?<=[\w,;)] )[A-ZÀ-ÞА-Я]\w|\d|[`_]|\w[A-Z]|\w\.\w", text):
        return False
    return _ARTICLE.search(text) is not None or len(_content(text)) <= _FEW_CONTENT_WORDS


_ARTICLE = re.compile(
    r"(?<!\w)(?:the|der|die|den|dem|le|la|les|el|los|las|il|lo|gli|het|o|os|as)\s+\w", re.I
)
