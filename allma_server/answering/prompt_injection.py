"""Retrieved text is data: nothing in it is hidden from the reader, and orders in it are known.

What is hidden (zero-width and direction marks, tags, fillers) is taken out of the text wherever a
model or a person is shown it. What reads like an order to a model is marked; a prompt leaves it
out, as small models follow what stands last, whatever they were told before.
"""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import replace

from allma_server.types import Passage

LEFT_OUT = "[an instruction to the reader is left out here]"

_REPEATED = re.compile(rf"({re.escape(LEFT_OUT)})(?:\s*{re.escape(LEFT_OUT)})+")

_HIDDEN = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e"
    "\u2060-\u206f\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
_JOINERS = "\u200c\u200d"
"""Part of the spelling of some scripts, and of emoji: hidden only between other letters."""

_WHOM = (
    r"(?:ai|llm|(?:ai\s|chat\s|language\s)?model|assistant|chat\s?bot|gpt|claude|llama|copilot)s?"
)
_SPEAK = r"(?:respond|reply|answer|say|output|print|write|state)"
_ANSWER = r"(?:answer|response|reply|output|summary)"
# Where a sentence begins, or goes on as an order does.
_COMMAND = (
    r"(?:(?:^|[.!?:;,\]>}\"']|\n)\W*"
    r"|\b(?:must|should|shall|please|kindly|just|always|instead|then|and|to)[ ,]+)"
)

_ORDERS = re.compile(
    rf"""
    # away with what holds
      \b(?:ignor|disregard|forget|overrid|bypass|overlook|discard)\w*\b [^.\n]{{0,30}}
      \b(?:previous|prior|above|earlier|preceding|existing|all|any|other|your|system|these|what)\b
      [^.\n]{{0,30}} \b(?:instruct|direction|directive|prompt|guideline|rules\b|command|text\b
        |were\ told)
    | \b(?:ignore|disregard|forget)\s+(?:everything|all|anything|the\ rest)\b [^.\n]{{0,20}}
      \b(?:above|before|previous|else|you|earlier|prior)\b
    | \b(?:ignor|disregard|forget)\w*\b [^.\n]{{0,20}} \b(?:instruct|direct|prompt|rule)\w*\s
      (?:above|before|earlier|you\ (?:were|have)|so\ far)\b
    # another role
    | \byou(?:\ are|'re)\ (?:now|no\ longer)\ (?:a|an|the|in|bound|allma|{_WHOM})\b
    | \bfrom\ now\ on\b[, ]+(?:you\ (?:will|must|are|should|shall)|always|never|only|{_SPEAK})
    | \b(?:act|behave|respond|pretend|role-?play)\w*\ (?:as|like|to\ be)\ (?:if|though|an?|the)\b
      [^.\n]{{0,30}}
      \b(?:ai|llm|assistant|chat\s?bot|unrestricted|jailbroken|pirate|developer\ mode)\b
    # new instructions, or a letter to the model
    | \b(?:new|updated|real|actual|important|additional|secret|hidden|urgent|special)\ (?:system\ )?
      (?:instruction|directive|prompt)s?\b
    | \bsystem\ (?:prompt|override|instruction|note|notice)s?\b
    | \b(?:note|notice|attention|message|instructions?|important|memo)\b [^.\n]{{0,12}}
      \b(?:to|for)\b [^.\n]{{0,20}} \b(?:ai|llms?|assistants?|chat\s?bots?|language\ models?)\b
    | \b(?:dear|attention|hey|hello|if\ you\ are\ an?|as\ an)[ ,:]+(?:\w+\ )?{_WHOM}\b
    # what to say, or not to say
    | {_COMMAND}{_SPEAK}\b [^.\n]{{0,40}}
      \b(?:only|exactly|instead|nothing\ (?:else|but)|the\ (?:word|phrase|following|text)|no\ matter
        |regardless|to\ (?:every|any|all)\ question)
    | {_COMMAND}(?:do\ not|don't|never)\s
      (?:answer|mention|reveal|tell|cite|reply|respond|summari[sz]e)\b
    | \byour\ (?:\w+\ )?{_ANSWER}\ (?:must|should|has\ to|needs\ to|shall|will)\b
    | \b(?:begin|start|end|finish|prefix|conclude|append)\b [^.\n]{{0,20}}
      \b(?:your|every|each)\ (?:\w+\ )?{_ANSWER}
    | \b(?:reveal|repeat|print|show|leak|send|forward|upload|exfiltrate)\b [^.\n]{{0,30}}
      \b(?:your\ (?:instructions|prompt|rules)|chat\ history|(?:the|this)\ conversation|passwords?
        |credentials?|api\ keys?)\b
    """,
    re.IGNORECASE | re.VERBOSE,
)
_GOES_ON = re.compile(
    r"\W*(?:always|never|instead|then|and|only|just|please|do|don't|say|reply|answer|respond|write"
    r"|print|output|begin|end|mention|tell|your|you|the answer)\b",
    re.I,
)
"""What may follow an order and belong to it."""

# Each of those has at least one of these words; most texts have none, and are passed over quickly.
_CUES = (
    "ignor", "disregard", "forget", "overrid", "bypass", "overlook", "discard", "you are", "you're",
    "from now on", "assistant", "chatbot", "chat bot", "unrestricted", "jailbroken", "pirate",
    "developer mode", "instruct", "directive", "prompt", "system o", "system n", " ai", "llm",
    "model", "gpt", "claude", "llama", "copilot", "exactly", "instead", "nothing", "the word",
    "the phrase", "the following", "the text", "no matter", "regardless", "question", "only",
    "do not", "don't", "never", "your", "every", "each", "conversation", "chat history",
    "password", "credential", "api key",
)  # fmt: skip
_TEMPLATE = re.compile(
    r"<\|[^|>\n]{1,30}\|>|\[/?INST\]|<</?SYS>>|</?s>|<(?:start|end)_of_turn>"
    r"|^\s*#{2,}\s*(?:instruction|system|response|assistant|user)\b[^\n]*"
    r"|^\s*(?:system|assistant|user|human|ai)\s*:(?=\s)",
    re.I | re.M,
)
_SENTENCE = re.compile(r"[^.!?。！？\n]*(?:[.!?。！？]+[\"')\]]*(?=\s|$)|[.!?。！？]+(?=\S)|\n|$)")


def visible(text: str) -> str:
    """The text without characters that nobody sees."""

    def seen(match: re.Match[str]) -> str:
        at = match.start()
        around = text[at - 1 : at], text[at + 1 : at + 2]
        joins = match[0] in _JOINERS and all(c and not c.isascii() for c in around)
        return match[0] if joins else ""

    return _HIDDEN.sub(seen, text)


def gives_orders(text: str) -> bool:
    """Whether a text tells a model what to do, as nothing that is only read does."""
    folded = _folded(text)
    return _orders_in(folded) or _TEMPLATE.search(folded) is not None


def without_orders(text: str) -> str:
    """The text with its sentences that give orders left out, and chat templates' marks too."""
    if not gives_orders(text):
        return text
    kept: list[str] = []
    ordered = False
    for sentence in filter(None, _SENTENCE.findall(_TEMPLATE.sub(f"\n{LEFT_OUT}\n", text))):
        goes_on = ordered and _GOES_ON.match(sentence) is not None
        ordered = goes_on or _orders_in(_folded(sentence))
        if not ordered:
            kept.append(sentence)
        elif not goes_on:
            kept.append(f" {LEFT_OUT}\n" if sentence.endswith("\n") else f" {LEFT_OUT}")
    return _REPEATED.sub(r"\1", "".join(kept))


def examined(passages: Sequence[Passage]) -> list[Passage]:
    """The passages as they may be shown: without what is hidden, and marked if they give orders."""
    shown = [replace(p, text=visible(p.text)) if _HIDDEN.search(p.text) else p for p in passages]
    return [replace(p, suspicious=True) if gives_orders(p.text) else p for p in shown]


def _orders_in(folded: str) -> bool:
    lowered = folded.lower()
    return any(cue in lowered for cue in _CUES) and _ORDERS.search(folded) is not None


def _folded(text: str) -> str:
    """The text as a model reads it: spelled in other letters or spread out, it is the same."""
    text = unicodedata.normalize("NFKC", visible(text))
    return re.sub(r"\b(?:\w[ .\-_*]){4,}\w\b", lambda m: re.sub(r"[ .\-_*]", "", m[0]), text)
