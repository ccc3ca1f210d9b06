"""What Ollama reports beside the text, as the server of the tests does: probabilities, thoughts."""

import json
from collections.abc import Iterator

import httpx
import pytest

from tests.ollama.fixtures import serving


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serving("thinking") as url:
        yield url


def chat(url: str, **body: object) -> httpx.Response:
    messages = [{"role": "user", "content": "Is the sky blue? Answer with one word."}]
    options = {"temperature": 0, "num_predict": 40}
    body = {"model": "thinking", "messages": messages, "options": options, **body}
    return httpx.post(f"{url}/api/chat", json=body, timeout=60, trust_env=False)


def test_thoughts_come_before_the_answer_and_apart_from_it(url: str) -> None:
    lines = [json.loads(line) for line in chat(url, think=True).text.splitlines()]
    thoughts = [bool(line["message"].get("thinking")) for line in lines[:-1]]
    assert thoughts == sorted(thoughts, reverse=True)
    assert thoughts[0] and not thoughts[-1]
    assert lines[-1]["done"]


def test_a_model_told_not_to_think_only_answers(url: str) -> None:
    message = chat(url, think=False, stream=False).json()["message"]
    assert message["content"]
    assert "thinking" not in message


def test_thinking_uses_up_the_tokens(url: str) -> None:
    answer = chat(url, stream=False, options={"temperature": 0, "num_predict": 4}).json()
    assert answer["done_reason"] == "length"
    assert (answer["message"]["content"], answer["eval_count"]) == ("", 4)
    assert answer["message"]["thinking"]


def test_tokens_have_their_probabilities_only_if_asked_for(url: str) -> None:
    answer = chat(url, think=False, stream=False, logprobs=True, top_logprobs=3).json()
    first = answer["logprobs"][0]
    assert len(first["top_logprobs"]) == 3
    assert first["logprob"] == max(entry["logprob"] for entry in first["top_logprobs"]) <= 0
    assert answer["message"]["content"].startswith(first["token"])
    assert "logprobs" not in chat(url, think=False, stream=False).json()


def test_too_many_probabilities_are_refused(url: str) -> None:
    refused = chat(url, logprobs=True, top_logprobs=21)
    assert refused.status_code == 400
    assert refused.json() == {"error": "top_logprobs must be between 0 and 20"}
