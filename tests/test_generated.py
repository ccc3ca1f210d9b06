"""The extensions' generated files match the server."""

import dataclasses
import hashlib
import json
import re

from pydantic.alias_generators import to_camel

from allma_server.config import Config
from allma_server.protocols.settings import SETTINGS, ClientSettings
from extensions.generate import EXTENSIONS, stale


def test_generated_files_are_up_to_date() -> None:
    names = [path.name for path in stale()]
    assert names == [], "run: python -m extensions.generate"


def test_the_page_is_built_from_its_sources() -> None:
    web, page = EXTENSIONS / "web", EXTENSIONS.parent / "allma_server/protocols/http/page"
    built: dict[str, str] = json.loads((page / "sources.json").read_text("utf-8"))
    content = {name: (web / name).read_bytes().replace(b"\r\n", b"\n") for name in built}
    now = {name: hashlib.sha256(text).hexdigest() for name, text in content.items()}
    assert now == built, "in extensions/web, run: npm run build"


def test_every_type_of_a_field_is_declared() -> None:
    text = (EXTENSIONS / "web" / "src" / "protocol.ts").read_text("utf-8")
    members = re.findall(r"^  \w+\??: (.*);$", text, re.MULTILINE)
    named = {name for types in members for name in re.findall(r"\b[A-Z]\w+", types)}
    declared = set(re.findall(r"^(?:export )?(?:interface|type) (\w+)", text, re.MULTILINE))
    assert named - declared <= {"Record"}


def test_every_setting_of_a_client_is_declared() -> None:
    fields = {field.name for field in dataclasses.fields(ClientSettings)}
    assert {setting.name for setting in SETTINGS} == fields


def test_server_and_client_settings_share_their_defaults() -> None:
    defaults = {name: field.default for name, field in Config.model_fields.items()}
    for setting in SETTINGS:
        if setting.name in defaults:
            assert setting.default == defaults[setting.name], setting.name


def test_vs_code_has_every_user_setting() -> None:
    package = json.loads((EXTENSIONS / "vscode" / "package.json").read_text("utf-8"))
    offered = package["contributes"]["configuration"]["properties"]
    for setting in SETTINGS:
        assert setting.technical != (f"allma.{to_camel(setting.name)}" in offered), setting.name
