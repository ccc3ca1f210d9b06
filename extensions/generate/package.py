"""Generate the server's settings in `package.json`, beside the extension's own."""

import json
import re
from textwrap import indent

from pydantic.alias_generators import to_camel

from allma_server.protocols.settings import SETTINGS, Setting

TYPES = {str: "string", int: "integer", bool: "boolean"}
# All others can differ between workspace folders.
SCOPES = {"index_workspace_folders": "window"}


def with_settings(text: str) -> str:
    """Return the manifest with the current settings of the server."""
    for order, setting in enumerate((s for s in SETTINGS if not s.technical), start=1):
        key = f'"allma.{to_camel(setting.name)}"'
        entry = f"{key}: {json.dumps(_schema(setting, order), indent=2)}"
        written = indent(entry, " " * 8)
        present = re.compile(rf"^ {{8}}{re.escape(key)}: \{{\n.*?^ {{8}}\}}", re.M | re.S)
        if present.search(text):
            text = present.sub(lambda _, written=written: written, text, count=1)
        else:
            text = text.replace('"properties": {\n', f'"properties": {{\n{written},\n', 1)
    return text


def _schema(setting: Setting, order: int) -> dict[str, object]:
    bounds = {"minimum": setting.least, "maximum": setting.most}
    return {
        "type": TYPES[setting.kind],
        "default": setting.default,
        **({"enum": list(setting.choices)} if setting.choices else {}),
        **{name: bound for name, bound in bounds.items() if bound is not None},
        "scope": SCOPES.get(setting.name, "resource"),
        "markdownDescription": setting.description,
        "order": order,
    }
