import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from allma_server._internal import telemetry
from allma_server._internal.child_process import Child, ChildFailed
from allma_server.errors import DocumentNotFound

MODULE = "tests.unit._internal.printing_child"
LIMIT = 20.0


@pytest.fixture
def pipe_child() -> Child:
    return Child(MODULE, environment={"PATH": "/usr/bin:/bin"})


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


async def test_a_child_answers_with_values_and_blobs(pipe_child: Child) -> None:
    async with pipe_child as child:
        value = {"text": "ä\n\ud800", "numbers": [1, 2.5, None]}
        result, blobs = await child.call("echo", value, [b"", b"\0" * 3_000_000], limit=LIMIT)
        assert result == value
        assert blobs == [b"", b"\0" * 3_000_000]


async def test_it_starts_with_the_first_call_and_ends_with_the_block(pipe_child: Child) -> None:
    async with pipe_child as child:
        assert child.pid is None
        pid, _ = await child.call("pid", limit=LIMIT)
        assert child.pid == pid
    assert gone(pid)


async def test_concurrent_calls_are_answered_in_order(pipe_child: Child) -> None:
    async with pipe_child as child:
        answers = await asyncio.gather(*(child.call("echo", i, limit=LIMIT) for i in range(20)))
        assert [result for result, _ in answers] == list(range(20))


async def test_an_expected_error_keeps_its_type(pipe_child: Child) -> None:
    async with pipe_child as child:
        with pytest.raises(DocumentNotFound) as caught:
            await child.call("refuse", limit=LIMIT)
        assert (caught.value.message, caught.value.hint) == ("No such thing.", "Look elsewhere.")
        assert (await child.call("echo", 1, limit=LIMIT))[0] == 1, "and the child lives on"


async def test_a_bug_arrives_with_its_traceback(pipe_child: Child) -> None:
    async with pipe_child as child:
        with pytest.raises(ChildFailed, match="ZeroDivisionError") as caught:
            await child.call("divide", limit=LIMIT)
        assert caught.value.bug is not None and "Traceback" in caught.value.bug
        assert not caught.value.hung


async def test_output_of_libraries_does_not_reach_the_protocol(pipe_child: Child) -> None:
    async with pipe_child as child:
        assert (await child.call("chatter", limit=LIMIT))[0] == "quiet"


async def test_a_child_that_hangs_is_killed_and_the_next_call_starts_another(
    pipe_child: Child,
) -> None:
    async with pipe_child as child:
        pid, _ = await child.call("pid", limit=LIMIT)
        with pytest.raises(ChildFailed) as caught:
            await child.call("hang", limit=0.2)
        assert caught.value.hung
        assert gone(pid)
        other, _ = await child.call("pid", limit=LIMIT)
        assert other != pid


async def test_a_crash_is_distinguished_from_a_timeout(pipe_child: Child) -> None:
    async with pipe_child as child:
        with pytest.raises(ChildFailed) as caught:
            await child.call("die", limit=LIMIT)
        assert not caught.value.hung and caught.value.bug is None
        assert (await child.call("echo", 1, limit=LIMIT))[0] == 1


async def test_the_answer_of_a_cancelled_call_is_not_given_to_the_next(pipe_child: Child) -> None:
    async with pipe_child as child:
        pid, _ = await child.call("pid", limit=LIMIT)
        async with asyncio.TaskGroup() as tasks:
            call = tasks.create_task(child.call("hang", limit=LIMIT))
            await asyncio.sleep(0)  # the task begins
            call.cancel()
        assert call.cancelled()
        assert (await child.call("echo", "mine", limit=LIMIT))[0] == "mine"
        assert gone(pid)


async def test_a_stopped_child_exits_and_the_next_call_starts_another(pipe_child: Child) -> None:
    async with pipe_child as child:
        child.dismiss()  # nothing to dismiss yet
        pid, _ = await child.call("pid", limit=LIMIT)
        child.dismiss()
        other, _ = await child.call("pid", limit=LIMIT)
        assert gone(pid) and other != pid


async def test_a_child_killed_between_calls_fails_at_most_one_call(pipe_child: Child) -> None:
    async with pipe_child as child:
        pid, _ = await child.call("pid", limit=LIMIT)
        os.kill(pid, signal.SIGTERM)
        try:
            await child.call("echo", 1, limit=LIMIT)
        except ChildFailed as exc:
            assert not exc.hung
        assert (await child.call("echo", 2, limit=LIMIT))[0] == 2


async def test_a_child_ignores_ctrl_c(pipe_child: Child) -> None:
    async with pipe_child as child:
        pid, _ = await child.call("pid", limit=LIMIT)
        os.kill(pid, signal.SIGINT)
        assert (await child.call("pid", limit=LIMIT))[0] == pid


async def test_a_child_gets_only_the_given_environment(
    pipe_child: Child, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALLMA_STRANGE", "1")
    async with pipe_child as child:
        names, _ = await child.call("environment", limit=LIMIT)
        assert set(names) <= {"PATH", "PYTHONPATH", "LC_CTYPE", *telemetry.SWITCHES}


async def test_children_end_when_their_parent_is_killed() -> None:
    script = (
        "import asyncio\n"
        "from allma_server._internal.child_process import Child\n"
        "async def main():\n"
        f"    await Child({MODULE!r}).call('pid', limit=20)\n"
        "    print('started', flush=True)\n"
        "    await asyncio.Event().wait()\n"
        "asyncio.run(main())\n"
    )
    parent = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        script,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[3],
    )
    assert parent.stdout and parent.stderr
    async with asyncio.timeout(LIMIT):
        await parent.stdout.readline()
        parent.kill()
        await parent.wait()
        # The child holds the other end of standard error for as long as it lives.
        await parent.stderr.read()
