"""The commands about the engine itself: its state, its data, its settings."""

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from allma_server.cli import settings
from allma_server.cli.commands.options import absolute
from allma_server.cli.program import command, group
from allma_server.cli.shell import DONE, FAILED, Shell

if TYPE_CHECKING:
    from allma_server.errors import DataDamaged
    from allma_server.types import Check, Diagnosis

app = typer.Typer()


@command(app, "status")
async def status(shell: Shell) -> None:
    """Tell what is indexed and pending, and which models serve."""
    shell.show(await shell.run("status"))


@command(app, "doctor")
async def doctor(
    shell: Shell,
    repair: Annotated[
        bool, typer.Option("--repair", help="Build the search indexes anew, and say what was done.")
    ] = False,
    client: Annotated[
        str | None,
        typer.Option("--client", metavar="NAME", help="Start Allma as this AI client does."),
    ] = None,
) -> int:
    """Check everything Allma depends on, with the next steps."""
    if client is not None:
        from allma_server.integrations.handshake import check_client
        from allma_server.integrations.install import find_client

        with shell.progress("Connecting"):
            diagnosis: Diagnosis = await check_client(find_client(client))
    elif repair:
        diagnosis = await _repaired(shell)
    else:
        diagnosis = await shell.run("doctor", doing="Checking")
    shell.show(diagnosis)
    return DONE if diagnosis.healthy else FAILED


async def _repaired(shell: Shell) -> "Diagnosis":
    from allma_server.errors import DataDamaged

    try:
        return await shell.run("repair", doing="Repairing", unit="steps")
    except DataDamaged as damage:
        rescued = await _rescued(shell, damage)
    repaired: Diagnosis = await shell.run("repair", doing="Repairing", unit="steps")
    return replace(repaired, checks=[rescued, *repaired.checks])


async def _rescued(shell: Shell, damage: "DataDamaged") -> "Check":
    """Has a new database take the place of the damaged one, which no engine may have open."""
    from allma_server.cli.page import count
    from allma_server.daemon.control import without_daemon
    from allma_server.engine import rescue_data
    from allma_server.types import Check

    with shell.progress("Saving what can be read"):
        data = shell.config.data_dir
        saved = await without_daemon(data, lambda: rescue_data(data))
    return Check(
        "Damage",
        "warning",
        f"{damage.message} Saved: {count(saved.conversations, 'conversation')} with "
        f"{count(saved.messages, 'message')}, {count(saved.documents, 'document')}.",
        f"The damaged file is kept as {saved.damaged}; delete it when nothing is missing.",
    )


@command(app, "export")
async def export(
    shell: Shell,
    file: Annotated[str, typer.Argument(metavar="FILE", help="A new file.", parser=absolute)],
) -> None:
    """Copy the index and the conversations into one file."""
    shell.show(await shell.run("export", path=file))


@command(app, "import")
async def import_(
    shell: Shell,
    file: Annotated[str, typer.Argument(metavar="FILE", help="What export wrote.")],
    replace: Annotated[
        bool, typer.Option("--replace", help="Even if there is an index already; it is lost.")
    ] = False,
) -> None:
    """Put what was exported into the data directory."""
    from allma_server.daemon.control import without_daemon
    from allma_server.engine import import_data

    data = shell.config.data_dir
    shell.show(await without_daemon(data, lambda: import_data(file, data, replace=replace)))


async def daemon_status(shell: Shell) -> None:
    """Show, stop or restart the engine that clients share."""
    from allma_server.daemon.control import daemon_status

    shell.show(await daemon_status(shell.config.data_dir))


daemon = group(app, "daemon", daemon_status)
command(daemon, "status", "Tell whether it runs, and who uses it.")(daemon_status)


@command(daemon, "stop")
async def stop(shell: Shell) -> None:
    """End it; the next client starts it again."""
    from allma_server.daemon.control import stop_daemon

    shell.show(await stop_daemon(shell.config.data_dir))


@command(daemon, "restart")
async def restart(shell: Shell) -> None:
    """End it and start it again."""
    from allma_server.daemon.control import start_daemon, stop_daemon

    await stop_daemon(shell.config.data_dir)
    shell.show(await start_daemon(shell.config.data_dir))


Key = Annotated[str, typer.Argument(metavar="KEY", help="A setting's name.")]


async def list_settings(shell: Shell) -> None:
    """List, get, set and unset settings."""
    current = settings.current(shell.options.data)
    running = await _running(shell)
    listed = [replace(each, notice=settings.waits(each, running)) for each in current.settings]
    shell.show(replace(current, settings=listed))


config = group(app, "config", list_settings)
command(config, "list", "List all settings, and where their values came from.")(list_settings)


@command(config, "get")
async def get_setting(shell: Shell, key: Key) -> None:
    """Print a setting's value."""
    shell.show(settings.setting(key, shell.options.data))


@command(config, "set")
async def set_setting(
    shell: Shell, key: Key, value: Annotated[str, typer.Argument(metavar="VALUE")]
) -> None:
    """Change a setting in the settings file."""
    warning = await settings.checked(key, value)
    settings.store(key, value)
    await _show_stored(shell, key, warning)


@command(config, "unset")
async def unset_setting(shell: Shell, key: Key) -> None:
    """Take a setting out of the settings file: its default is used again."""
    settings.remove(key)
    await _show_stored(shell, key)


Provider = Annotated[str, typer.Argument(metavar="PROVIDER", help="ollama or openai.")]


@command(config, "set-key")
async def set_key(shell: Shell, provider: Provider) -> None:
    """Store a model server's API key in the system's key ring."""
    from allma_server.providers.api_keys import check_provider, store_key
    from allma_server.types import Done

    check_provider(provider)
    await store_key(provider, shell.secret(f"API key for {provider}"))
    shell.show(Done(f"The key for {provider} is in the system's key ring."))


@command(config, "unset-key")
async def unset_key(shell: Shell, provider: Provider) -> None:
    """Take a model server's API key out of the system's key ring."""
    from allma_server.providers.api_keys import remove_key
    from allma_server.types import Done

    await remove_key(provider)
    shell.show(Done(f"There is no key for {provider} in the system's key ring."))


async def _running(shell: Shell) -> dict[str, Any]:
    """The settings that a running engine works with; empty when there is none."""
    from allma_server.daemon.control import running_settings

    return await running_settings(shell.config.data_dir) or {}


async def _show_stored(shell: Shell, key: str, warning: str | None = None) -> None:
    stored = settings.setting(key)
    notices = filter(None, (warning, settings.waits(stored, await _running(shell))))
    stored = replace(stored, notice=" ".join(notices) or None)
    shell.show(stored)
    shell.warn(stored.notice)
    if stored.source == "environment":
        shell.say(f"ALLMA_{key.upper()} in the environment goes before the file.", "yellow")
