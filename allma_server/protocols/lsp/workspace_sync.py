"""Follow the editor's settings, workspace folders, and changes of files and documents."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

from lsprotocol import types

from allma_server.errors import AllmaError
from allma_server.operations import BY_NAME, Call
from allma_server.protocols.folders import file_path
from allma_server.protocols.lsp.citations import Citations
from allma_server.protocols.lsp.connection import Editor, current_task, title
from allma_server.protocols.lsp.parent_process import wait_for_exit
from allma_server.protocols.lsp.progress import EditorProgress
from allma_server.protocols.lsp.selection import KIND, code_actions
from allma_server.protocols.lsp.symbols import Symbols
from allma_server.protocols.lsp.unsaved_buffers import UnsavedBuffers
from allma_server.protocols.settings import ClientSettings, apply

IDLE_SECONDS = 0.5
"""Seconds a client must stay before its folders are indexed: some only probe the server."""

_SECTION = "allma"

_log = logging.getLogger(__name__)


class WorkspaceSync:
    """Handles an editor's notifications. `background` ends with the connection."""

    def __init__(self, editor: Editor, background: asyncio.TaskGroup) -> None:
        self._editor = editor
        self._background = background
        self._initial = ClientSettings()
        self._complaints: dict[str, bool] = {}
        self._elsewhere: dict[str, object] = {}
        self._bars: list[EditorProgress] = []
        self.unsaved = UnsavedBuffers(editor, background)
        on = editor.server.on
        on(types.INITIALIZE, self.initialize)
        on(types.INITIALIZED, self.initialized)
        on(types.WORKSPACE_DID_CHANGE_WORKSPACE_FOLDERS, self.folders_changed)
        on(types.WORKSPACE_DID_CHANGE_CONFIGURATION, self.configuration_changed)
        on(types.WORKSPACE_DID_CHANGE_WATCHED_FILES, self.files_changed)
        on(types.TEXT_DOCUMENT_DID_SAVE, self.saved, types.SaveOptions(include_text=False))
        on(types.WINDOW_WORK_DONE_PROGRESS_CANCEL, self.bar_cancelled)
        on(types.WORKSPACE_TEXT_DOCUMENT_CONTENT, self.document_content)
        actions = types.CodeActionOptions(code_action_kinds=[KIND])
        on(types.TEXT_DOCUMENT_CODE_ACTION, self.code_actions, actions)
        on(types.WORKSPACE_SYMBOL, Symbols(editor).find)
        citations = Citations(editor)
        on(types.TEXT_DOCUMENT_HOVER, citations.hover)
        on(types.TEXT_DOCUMENT_DOCUMENT_LINK, citations.links)

    # --- initialization ---------------------------------------------------------------------

    def initialize(self, params: types.InitializeParams) -> None:
        self._initial = self._applied(params.initialization_options)
        self._editor.settings = self._initial
        self._editor.folders.add(_folders(params))
        if params.process_id is not None:
            self._background.create_task(self._end_after(params.process_id))

    def initialized(self, params: types.InitializedParams) -> None:
        self._background.create_task(self._settle())

    async def _end_after(self, pid: int) -> None:
        await wait_for_exit(pid)
        _log.info("the editor (process %d) has ended", pid)
        self._editor.ended.set()

    async def _settle(self) -> None:
        await self._register()
        await self._read_configuration()
        await asyncio.sleep(IDLE_SECONDS)
        if self._editor.settings.index_workspace_folders and self._editor.folders.paths:
            await self._index(self._editor.folders.paths)
        await self._report_server_settings()

    async def _register(self) -> None:
        declared = self._editor.server.client_capabilities.workspace
        wanted: list[types.Registration] = []
        if declared and (watching := declared.did_change_watched_files):
            if watching.dynamic_registration:
                options = types.DidChangeWatchedFilesRegistrationOptions(
                    watchers=[types.FileSystemWatcher(glob_pattern="**/*")]
                )
                method = types.WORKSPACE_DID_CHANGE_WATCHED_FILES
                wanted.append(types.Registration("allma-files", method, options))
        if declared and (configured := declared.did_change_configuration):
            if configured.dynamic_registration:
                options = types.DidChangeConfigurationRegistrationOptions(section=_SECTION)
                method = types.WORKSPACE_DID_CHANGE_CONFIGURATION
                wanted.append(types.Registration("allma-settings", method, options))
        if wanted:
            params = types.RegistrationParams(wanted)
            await self._editor.request(types.CLIENT_REGISTER_CAPABILITY, params)

    # --- settings ---------------------------------------------------------------------------

    async def _read_configuration(self) -> None:
        declared = self._editor.server.client_capabilities.workspace
        if declared and declared.configuration:
            item = types.ConfigurationItem(section=_SECTION)
            answer = await self._editor.request(
                types.WORKSPACE_CONFIGURATION, types.ConfigurationParams([item])
            )
            self._editor.settings = self._applied(answer[0] if answer else None)
        self._complain()

    async def configuration_changed(self, params: types.DidChangeConfigurationParams) -> None:
        followed = self._editor.settings.index_workspace_folders
        pushed: Any = params.settings
        if isinstance(pushed, dict):
            self._editor.settings = self._applied(cast(dict[str, object], pushed).get(_SECTION))
        await self._read_configuration()
        if self._editor.settings.index_workspace_folders and not followed:
            self._background.create_task(self._index(self._editor.folders.paths))

    def _applied(self, given: object) -> ClientSettings:
        """Return the initial settings of the client, changed by `given`."""
        applied = apply(self._initial, given)
        self._complaints |= {c: False for c in applied.complaints if c not in self._complaints}
        self._elsewhere |= applied.elsewhere
        return applied.settings

    def _complain(self) -> None:
        """Show each complaint once."""
        for complaint, is_reported in self._complaints.items():
            if not is_reported:
                _log.warning("%s", complaint)
                self._editor.server.window_show_message(
                    types.ShowMessageParams(types.MessageType.Warning, complaint)
                )
                self._complaints[complaint] = True

    async def _report_server_settings(self) -> None:
        if not self._elsewhere:
            return
        engine = await self._editor.engine()
        for key, value in self._elsewhere.items():
            if str(getattr(engine.config, key)) != str(value):
                self._editor.log(
                    f"The setting {key} belongs to the data directory, not to an editor; "
                    f"`allma config set {key} {value}` changes it."
                )
        self._elsewhere.clear()

    # --- folders and files ------------------------------------------------------------------

    def folders_changed(self, params: types.DidChangeWorkspaceFoldersParams) -> None:
        self._editor.folders.remove(_paths(params.event.removed))
        new = self._editor.folders.add(_paths(params.event.added))
        if new and self._editor.settings.index_workspace_folders:
            self._background.create_task(self._index(new))

    async def _index(self, paths: Sequence[str]) -> None:
        """Index folders, with a progress bar through which the editor can cancel it.

        The engine owns the work, so that closing the editor does not stop it.
        """
        with self._editor.call():
            try:
                call = await self._editor.context()
            except AllmaError as exc:
                self._editor.log(str(exc), types.MessageType.Error)
                return
            work = call.engine.tasks.create_task(self._index_as(call, paths))
            await asyncio.wait({work})
        if refused := self._editor.folders.refused:
            self._editor.log(" ".join(refused))

    async def _index_as(self, call: Call, paths: Sequence[str]) -> None:
        task = current_task()
        progress = EditorProgress(self._editor, title("ingest"), task, may_create=True)
        self._bars.append(progress)
        try:
            await self._editor.folders.index(replace(call, progress=progress), paths)
        finally:
            progress.end()
            self._editor.forget(task)

    def close(self) -> None:
        """Forget unsaved texts, and stop sending progress, after the editor disconnects."""
        for progress in self._bars:
            progress.end()
        self.unsaved.close()

    def saved(self, params: types.DidSaveTextDocumentParams) -> None:
        # At once, and not in a task: that would drop the next edit, which may already be here.
        self.unsaved.drop(params.text_document.uri)
        self._background.create_task(self._hint([params.text_document.uri]))

    async def files_changed(self, params: types.DidChangeWatchedFilesParams) -> None:
        await self._hint([change.uri for change in params.changes])

    async def _hint(self, uris: Sequence[str]) -> None:
        paths = [path for uri in uris if (path := file_path(uri))]
        if not paths or not self._editor.settings.index_workspace_folders:
            return
        with self._editor.call():
            try:
                BY_NAME["sync"].authorize(self._editor.client.principal)
                (await self._editor.engine()).ingestion.mark_dirty(paths)
            except AllmaError as exc:
                _log.warning("cannot follow a change: %s", exc)

    # --- other requests ---------------------------------------------------------------------

    def bar_cancelled(self, params: types.WorkDoneProgressCancelParams) -> None:
        self._editor.cancel(params.token)

    async def document_content(
        self, params: types.TextDocumentContentParams
    ) -> types.TextDocumentContentResult:
        found = await self._editor.answer(self._editor.content, {"uri": params.uri})
        return types.TextDocumentContentResult(found["text"])

    def code_actions(
        self, params: types.CodeActionParams
    ) -> list[types.CodeAction | types.Command]:
        declared = self._editor.server.client_capabilities.text_document
        literals = bool(
            declared and declared.code_action and declared.code_action.code_action_literal_support
        )
        return code_actions(params, self._editor.server.workspace, literals=literals)


def _folders(params: types.InitializeParams) -> list[str]:
    """Return the editor's folders; older editors name one, by `rootUri` or `rootPath`."""
    if params.workspace_folders:
        return _paths(params.workspace_folders)
    if params.root_uri:
        return [path] if (path := file_path(params.root_uri)) else []
    return [params.root_path] if params.root_path else []


def _paths(folders: Sequence[types.WorkspaceFolder]) -> list[str]:
    return [path for folder in folders if (path := file_path(folder.uri))]
