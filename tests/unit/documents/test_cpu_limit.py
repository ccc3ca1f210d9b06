import subprocess
import sys

import pytest

from allma_server.documents import cpu_limit

NATIVE = "import re; re.match('(a+)+$', 'a' * 60 + 'b')"
"""Never returns from native code, and holds the interpreter's lock."""


def run(code: str) -> subprocess.CompletedProcess[bytes]:
    code = f"import time\nfrom allma_server.documents import cpu_limit\n{code}"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60)


@pytest.mark.parametrize("work", ["while True: pass", NATIVE])
def test_work_ends_at_the_limit(work: str) -> None:
    assert run(f"with cpu_limit.cpu_limit(.2):\n {work}").returncode == cpu_limit.EXIT_CODE


def test_waiting_does_not_count() -> None:
    ended = run("with cpu_limit.cpu_limit(.2): time.sleep(.6); print('whole')")
    assert (ended.returncode, ended.stdout.split()) == (0, [b"whole"])


def test_work_after_the_call_does_not_count() -> None:
    code = "with cpu_limit.cpu_limit(.2): pass\nwhile time.process_time() < .6: pass"
    assert run(code).returncode == 0


def test_without_the_system_s_timer_a_thread_enforces_the_limit() -> None:
    assert run("with cpu_limit._watch_by_thread(.2):\n while True: pass").returncode == 124
    ended = run("with cpu_limit._watch_by_thread(.2): time.sleep(.6); print('whole')")
    assert (ended.returncode, ended.stdout.split()) == (0, [b"whole"])
