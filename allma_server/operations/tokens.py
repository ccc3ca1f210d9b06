"""Tokens by which users reach an engine over HTTP."""

import re
from dataclasses import asdict
from typing import Annotated

from pydantic import Field

from allma_server.errors import InvalidArgument
from allma_server.operations.call import Call
from allma_server.operations.login_file import make_login_file
from allma_server.operations.paths import ClientPath
from allma_server.operations.scope import indexed_folder
from allma_server.types import LOCAL, Access, Done, LoginCode, NewToken, TokenList

CODE_SECONDS = 60
"""Seconds in which a browser has to use its code."""

_NAME = re.compile(r"[\w.@-]{1,64}")

UserName = Annotated[str, Field(description="Who uses it, such as ann or ann@example.org.")]


async def add_token(
    call: Call,
    name: UserName,
    can: Annotated[
        Access,
        Field(description="write also indexes and forgets in the workspaces, admin does all."),
    ] = "read",
    workspaces: Annotated[
        list[str] | None,
        Field(description="Only these indexed folders; all without any."),
        ClientPath.WORKSPACE,
    ] = None,
    days: Annotated[
        float | None, Field(gt=0, le=36_500, description="Days until it expires; never without.")
    ] = None,
) -> NewToken:
    """Make a token for a user of `allma serve`. It is shown once; only its hash is stored."""
    if not _NAME.fullmatch(name):
        raise InvalidArgument(
            f"{name!r} is not a user's name.", "Use up to 64 letters, digits and . _ @ - only."
        )
    if name == LOCAL.name:
        raise InvalidArgument(f"{name} is the name of the engine's owner.", "Choose another name.")
    if can == "admin" and workspaces:
        raise InvalidArgument(
            "An administrator uses all workspaces.", "Leave out the workspaces, or choose write."
        )
    folders = [await indexed_folder(call, folder) for folder in workspaces or []]
    seconds = None if days is None else days * 86_400
    token, secret = await call.engine.catalog.add_token(name, can, folders, seconds)
    return NewToken(**asdict(token), token=secret)


async def list_tokens(call: Call) -> TokenList:
    """List the tokens of all users, without their secrets."""
    return TokenList(await call.engine.catalog.tokens())


async def revoke_token(call: Call, name: UserName) -> Done:
    """Revoke the token of a user, whose requests end at once; their conversations are kept."""
    call.engine.credential_uses.end(await call.engine.catalog.revoke_token(name))
    return Done(f"Revoked the token of {name}.")


async def make_login_code(
    call: Call,
    file: Annotated[
        bool, Field(description="Also make a private file that leads a browser there.")
    ] = False,
) -> LoginCode:
    """Make a code with which a browser logs in once, as the owner of this engine."""
    urls = list(call.engine.urls)
    code = await call.engine.catalog.add_code(CODE_SECONDS)
    path = (
        await make_login_file(call.engine, urls[0], code, CODE_SECONDS) if file and urls else None
    )
    return LoginCode(code, CODE_SECONDS, urls, path)
