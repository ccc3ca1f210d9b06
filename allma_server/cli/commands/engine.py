"""The commands for the engine's state, data, process and settings."""

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from allma_server.cli import completions, settings
from allma_server.cli.commands.options import absolute
from allma_server.cli.program import command, group
from allma_server.cli.shell import DONE, FAILED, Shell
from allma_server.errors import StorageError

if TYPE_CHECKING:
    from allma_server.errors import DataDamaged
    from allma_server.types import Check, Diagnosis

app = typer.Typer()


@command(app, "status")
async def status(shell: Shell) -> None:
    """Show what is indexed and pending, and the models in use."""
    shell.show(await shell.run("status"))


@command(app, "doctor")
async def doctor(
    shell: Shell,
    repair: Annotated[
        bool, typer.Option("--repair", help="Repair the database and rebuild the search indexes.")
    ] = False,
    client: Annotated[
        str | None,
        typer.Option("--client", metavar="NAME", help="Check the connection of this AI client."),
    ] = None,
) -> int:
    """Check everything Allma depends on, with the next steps."""
    if client is not None:
        from allma_server.integrations.handshake import check_client  # late: not for the help
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
    from allma_server.errors import DataDamaged  # late: not for the help

    try:
        return await shell.run("repair", doing="Repairing", unit="steps")
    except DataDamaged as damage:
        rescued = await _rescued(shell, damage)
    repaired: Diagnosis = await shell.run("repair", doing="Repairing", unit="steps")
    return replace(repaired, checks=[rescued, *repaired.checks])


async def _rescued(shell: Shell, damage: "DataDamaged") -> "Check":
    """Replace a damaged database by a new one, while no engine has it open."""
    from allma_server.cli.page import count  # late: not for the help
    from allma_server.daemon.control import without_daemon
    from allma_server.engine import rescue_data
    from allma_server.types import Check

    with shell.progress("Saving what can be read"):
        data = shell.data_dir
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
    file: Annotated[str, typer.Argument(metavar="FILE", help="A file that `allma export` wrote.")],
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace an existing index, which is deleted.")
    ] = False,
) -> None:
    """Import a file of `allma export` into the data directory."""
    from allma_server.daemon.control import without_daemon  # late: not for the help
    from allma_server.engine import import_data

    data, mask = shell.config.data_dir, shell.config.mask_secrets
    run = partial(import_data, file, data, replace=replace, mask=mask)
    shell.show(await without_daemon(data, run))


async def daemon_status(shell: Shell) -> None:
    """Show, stop or restart the shared engine."""
    from allma_server.daemon.control import daemon_status  # late: not for the help

    shell.show(await daemon_status(shell.data_dir))


daemon = group(app, "daemon", daemon_status)
command(daemon, "status", "Show whether the engine runs, and its clients.")(daemon_status)


@command(daemon, "stop")
async def stop(shell: Shell) -> None:
    """Stop the engine; the next client starts it again."""
    from allma_server.daemon.control import stop_daemon  # late: not for the help

    shell.show(await stop_daemon(shell.data_dir))


@command(daemon, "restart")
async def restart(shell: Shell) -> None:
    """Stop the engine and start it again."""
    from allma_server.daemon.control import start_daemon, stop_daemon  # late: not for the help

    await stop_daemon(shell.data_dir)
    shell.show(await start_daemon(shell.data_dir))


Key = Annotated[
    str,
    typer.Argument(metavar="KEY", help="A setting's name.", autocompletion=completions.settings),
]


async def list_settings(shell: Shell) -> None:
    """List, get, set and unset settings."""
    current = settings.current(shell.options.data)
    running = await _running(shell)
    listed = [
        replace(each, notice=settings.pending_change(each, running)) for each in current.settings
    ]
    shell.show(replace(current, settings=listed))


config = group(app, "config", list_settings)
command(config, "list", "List all settings and where their values come from.")(list_settings)


@command(config, "get")
async def get_setting(shell: Shell, key: Key) -> None:
    """Print a setting's value."""
    shell.show(settings.setting(key, shell.options.data))


@command(config, "set")
async def set_setting(
    shell: Shell, key: Key, value: Annotated[str, typer.Argument(metavar="VALUE")]
) -> None:
    """Change a setting in the settings file."""
    warning = await settings.check(key, value)
    settings.store(key, value)
    await _show_stored(shell, key, warning)


@command(config, "edit")
async def edit_settings(shell: Shell) -> None:
    """Open the settings file in your editor, and check it afterwards."""
    from allma_server._internal.private import make_private_file, make_private_folder
    from allma_server.cli.editor import edit  # late: not for the help
    from allma_server.locations import writable_config_file

    file = writable_config_file()
    try:
        make_private_folder(file.parent)
        make_private_file(file)
    except OSError as exc:
        raise StorageError(f"{file} cannot be written: {exc.strerror}.") from exc
    await edit(file)
    settings.current(shell.options.data)
    shell.say(f"The settings in {file} are valid.")


@command(config, "unset")
async def unset_setting(shell: Shell, key: Key) -> None:
    """Remove a setting from the settings file, which restores its default."""
    settings.remove(key)
    await _show_stored(shell, key)


Provider = Annotated[
    str, typer.Argument(metavar="PROVIDER", help="ollama, openai or vector_store.")
]


@command(config, "set-key")
async def set_key(shell: Shell, provider: Provider) -> None:
    """Store a server's API key in the system's key ring."""
    from allma_server.providers.api_keys import check_provider, store_key  # late: not for the help
    from allma_server.types import Done

    check_provider(provider)
    await store_key(provider, shell.secret(f"API key for {provider}"))
    shell.show(Done(f"Stored the key for {provider} in the system's key ring."))


@command(config, "unset-key")
async def unset_key(shell: Shell, provider: Provider) -> None:
    """Remove a server's API key from the system's key ring."""
    from allma_server.providers.api_keys import remove_key  # late: not for the help
    from allma_server.types import Done

    await remove_key(provider)
    shell.show(Done(f"The system's key ring has no key for {provider}."))


async def _running(shell: Shell) -> dict[str, object]:
    """Return the settings of the running engine; empty when none is running."""
    from allma_server.daemon.control import running_settings  # late: not for the help

    return await running_settings(shell.data_dir) or {}


async def _show_stored(shell: Shell, key: str, warning: str | None = None) -> None:
    stored = settings.setting(key)
    notices = filter(None, (warning, settings.pending_change(stored, await _running(shell))))
    stored = replace(stored, notice=" ".join(notices) or None)
    shell.show(stored)
    shell.warn(stored.notice)
    if stored.source == "environment":
        shell.say(f"ALLMA_{key.upper()} in the environment overrides the file.", "yellow")
