"""The container's files: what they grant, and that what they name exists. They are not run here."""

import re
from pathlib import Path

import yaml
from typer.main import get_command

from allma_server.cli.commands import app
from allma_server.config import Config

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "extensions" / "container"
DOCKERFILE = (FOLDER / "Dockerfile").read_text("utf-8")


def test_the_service_has_no_more_than_it_needs() -> None:
    compose = yaml.safe_load((FOLDER / "compose.yaml").read_text("utf-8"))
    allma = compose["services"]["allma"]
    assert allma["read_only"] is True
    assert allma["cap_drop"] == ["ALL"]
    assert allma["security_opt"] == ["no-new-privileges:true"]
    assert (allma["mem_limit"], allma["cpus"]) == ("2g", 1.0)
    assert all(port.startswith("127.0.0.1:") for port in allma["ports"])
    assert any(volume.endswith(":/documents:ro") for volume in allma["volumes"])


def test_the_image_runs_as_a_user_without_rights_and_is_checked() -> None:
    final = DOCKERFILE.split("\nFROM ")[-1]
    assert DOCKERFILE.count("\nFROM ") == 2
    assert "\nUSER 1001:1001\n" in final
    assert f":{Config().http_port}/health" in final
    assert f"\nEXPOSE {Config().http_port}\n" in final


def test_what_the_files_name_exists() -> None:
    fields = {f"ALLMA_{name.upper()}" for name in Config.model_fields} | {"ALLMA_CONFIG"}
    compose = (FOLDER / "compose.yaml").read_text("utf-8")
    named = set(re.findall(r"\bALLMA_[A-Z_]+", DOCKERFILE + compose))
    assert named - fields == {"ALLMA_DOCUMENTS"}
    [program] = re.findall(r'^CMD \["(\w+)"\]$', DOCKERFILE, re.M)
    assert program in getattr(get_command(app), "commands")  # noqa: B009
    for source in re.findall(r"^COPY (?!--from)(.*) \S+$", DOCKERFILE, re.M):
        assert all((ROOT / path).exists() for path in source.split())
