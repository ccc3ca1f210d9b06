"""Files that are named after secrets because they speak of them: translations, lists of words."""

import re
from pathlib import PurePath

# What a file about secrets is, by another word of its name.
_ABOUT = re.compile(
    r"(?:^|[._ -])(?:i18n|l10n|intl|locales?|lang|translations?|translated|messages|strings|labels|"
    r"wordlist|dictionary|polic(?:y|ies)|guide(?:line)?s?|how-?to|rotation|faq|readme|fixtures?|"
    r"mocks?|stubs?|types?|openapi|swagger|crds?|statistics|frequenc(?:y|ies)|requirements?|"
    r"checklist|overview|glossary)(?=[._ -]|$)"
)
# Lists of passwords that nobody should have.
_KNOWN_PASSWORDS = re.compile(
    r"(?=.*pass)(?:.*[._ -])?(?:common|commonest|popular|worst|weak|bad|banned|forbidden|"
    r"disallowed|blacklist(?:ed)?|blocklist|blocked|denylist|breached|leaked|pwned|cracked|rockyou|frequent|"
    r"top[._ -]?\d+k?|\d+k)(?:[._ -].*|$)"
)
_LANGUAGE = (
    r"(?:en|de|fr|es|pt|nl|pl|ru|ja|zh|ko|sv|da|nb|nn|no|fi|cs|sk|sl|hr|sr|hu|ro|bg|el|tr|uk|ar|he|"
    r"fa|hi|th|vi|id|ms|ca|eu|gl|et|lv|lt|it)(?:[_-](?:[a-z]{2}|hans|hant|\d{3}))?"
)
_TRANSLATED = re.compile(rf"{_LANGUAGE}\..+|.+\.{_LANGUAGE}\.\w+")
# Folders, the nearest three, in which files are named by their subjects.
_FOLDER_OF_WORDS = re.compile(
    r"(?:.*[._-])?(?:i18n|l10n|intl|locales?|lang|langs|languages?|translations?|lproj|messages|values(?:-\w+)?|wordlists?|"
    r"word-lists?|dictionar(?:y|ies)|seclists|schemas?|json-?schemas?|openapi|swagger|crds?)"
)
# Folders in which a file of settings shows or tests something.
_FOLDER_OF_EXAMPLES = re.compile(
    r"docs?|documentation|examples?|samples?|demos?|templates?|tests?|__tests__|specs?|testdata|"
    r"test[_-]data|fixtures?|__fixtures__|mocks?|__mocks__|__snapshots__|stubs?|tutorials?|"
    rf"node_modules|site-packages|(?!it$|id$|no$){_LANGUAGE}"
)
_STRUCTURED = (".json", ".jsonc", ".json5", ".yml", ".yaml", ".xml", ".toml", ".properties")


def is_about_secrets(folder: PurePath, name: str) -> bool:
    """Whether the rest of a name, or its folder, says that a file only speaks of secrets."""
    if _ABOUT.search(name) or _KNOWN_PASSWORDS.fullmatch(name):
        return True
    *_, nearest = ["", *(part.lower() for part in folder.parts)]
    around = [part.lower() for part in folder.parts[-3:]]
    if any(_FOLDER_OF_WORDS.fullmatch(part) for part in around):
        return True
    if not name.endswith(_STRUCTURED):
        return False
    return bool(_TRANSLATED.fullmatch(name) or _FOLDER_OF_EXAMPLES.fullmatch(nearest))
