"""Detect prompt injections in retrieved text, and remove hidden characters.

Hidden characters (zero-width and direction marks, tags, fillers) are removed from every text that
a person or a model sees. A passage with a possible instruction to a model is marked as suspicious,
and prompts leave that instruction out, because small models follow the last instruction they read,
whatever the system message says.
"""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import replace

from allma_server.types import Passage

REMOVED_NOTE = "[an instruction to the reader is left out here]"

_REPEATED = re.compile(rf"({re.escape(REMOVED_NOTE)})(?:\s*{re.escape(REMOVED_NOTE)})+")

_HIDDEN = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e"
    "\u2060-\u206f\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
_JOINERS = "\u200c\u200d"
"""Needed to spell some scripts and emoji, so they are only removed next to ASCII characters."""

_MODEL = (
    r"(?:ai|llm|(?:ai\s|chat\s|language\s)?model|assistant|chat\s?bot|gpt|claude|llama|copilot)s?"
)
_SPEAK = r"(?:respond|reply|answer|say|output|print|write|state)"
_ANSWER = r"(?:answer|response|reply|output|summary)"
# The start of a sentence, or a word that introduces a command.
_COMMAND = (
    r"(?:(?:^|[.!?:;,\]>}\"']|\n)\W*"
    r"|\b(?:must|should|shall|please|kindly|just|always|instead|then|and|to)[ ,]+)"
)

_INJECTIONS = re.compile(
    rf"""
    # cancel earlier instructions
      \b(?:ignor|disregard|forget|overrid|bypass|overlook|discard)\w*\b [^.\n]{{0,30}}
      \b(?:previous|prior|above|earlier|preceding|existing|all|any|other|your|system|these|what)\b
      [^.\n]{{0,30}} \b(?:instruct|direction|directive|prompt|guideline|rules\b|command|text\b
        |were\ told)
    | \b(?:ignore|disregard|forget)\s+(?:everything|all|anything|the\ rest)\b [^.\n]{{0,20}}
      \b(?:above|before|previous|else|you|earlier|prior)\b
    | \b(?:ignor|disregard|forget)\w*\b [^.\n]{{0,20}} \b(?:instruct|direct|prompt|rule)\w*\s
      (?:above|before|earlier|you\ (?:were|have)|so\ far)\b
    # assign another role
    | \byou(?:\ are|'re)\ (?:now|no\ longer)\ (?:a|an|the|in|bound|allma|{_MODEL})\b
    | \bfrom\ now\ on\b[, ]+(?:you\ (?:will|must|are|should|shall)|always|never|only|{_SPEAK})
    | \b(?:act|behave|respond|pretend|role-?play)\w*\ (?:as|like|to\ be)\ (?:if|though|an?|the)\b
      [^.\n]{{0,30}}
      \b(?:ai|llm|assistant|chat\s?bot|unrestricted|jailbroken|pirate|developer\ mode)\b
    # give new instructions, or address the model
    | \b(?:new|updated|real|actual|important|additional|secret|hidden|urgent|special)\ (?:system\ )?
      (?:instruction|directive|prompt)s?\b
    | \bsystem\ (?:prompt|override|instruction|note|notice)s?\b
    | \b(?:note|notice|attention|message|instructions?|important|memo)\b [^.\n]{{0,12}}
      \b(?:to|for)\b [^.\n]{{0,20}} \b(?:ai|llms?|assistants?|chat\s?bots?|language\ models?)\b
    | \b(?:dear|attention|hey|hello|if\ you\ are\ an?|as\ an)[ ,:]+(?:\w+\ )?{_MODEL}\b
    # say what to answer or not to answer
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
_CONTINUATION = re.compile(
    r"\W*(?:always|never|instead|then|and|only|just|please|do|don't|say|reply|answer|respond|write"
    r"|print|output|begin|end|mention|tell|your|you|the answer)\b",
    re.I,
)
"""How a sentence begins that continues the instruction before it."""

# Every match of _INJECTIONS contains one of these; the check skips most texts quickly.
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


def remove_hidden(text: str) -> str:
    """Return the text without invisible characters."""

    def replacement(match: re.Match[str]) -> str:
        at = match.start()
        around = text[at - 1 : at], text[at + 1 : at + 2]
        joins = match[0] in _JOINERS and all(c and not c.isascii() for c in around)
        return match[0] if joins else ""

    return _HIDDEN.sub(replacement, text)


def is_suspicious(text: str) -> bool:
    """Return whether a text contains a possible instruction to a model, or marks of a template."""
    normalized = _normalize(text)
    return _contains_injection(normalized) or _TEMPLATE.search(normalized) is not None


def remove_injections(text: str) -> str:
    """Return the text without the sentences that instruct a model, and without template marks."""
    if not is_suspicious(text):
        return text
    kept: list[str] = []
    in_injection = False
    for sentence in filter(None, _SENTENCE.findall(_TEMPLATE.sub(f"\n{REMOVED_NOTE}\n", text))):
        continues = in_injection and _CONTINUATION.match(sentence) is not None
        in_injection = continues or _contains_injection(_normalize(sentence))
        if not in_injection:
            kept.append(sentence)
        elif not continues:
            kept.append(f" {REMOVED_NOTE}\n" if sentence.endswith("\n") else f" {REMOVED_NOTE}")
    return _REPEATED.sub(r"\1", "".join(kept))


def mark_suspicious(passages: Sequence[Passage]) -> list[Passage]:
    """Return the passages without hidden characters, with `suspicious` set where it applies."""
    cleaned = [
        replace(p, text=remove_hidden(p.text)) if _HIDDEN.search(p.text) else p for p in passages
    ]
    return [replace(p, suspicious=True) if is_suspicious(p.text) else p for p in cleaned]


def _contains_injection(normalized: str) -> bool:
    lowered = normalized.lower()
    return any(cue in lowered for cue in _CUES) and _INJECTIONS.search(normalized) is not None


def _normalize(text: str) -> str:
    """Undo look-alike letters (NFKC) and words whose letters are spaced out."""
    text = unicodedata.normalize("NFKC", remove_hidden(text))
    return re.sub(r"\b(?:\w[ .\-_*]){4,}\w\b", lambda m: re.sub(r"[ .\-_*]", "", m[0]), text)
