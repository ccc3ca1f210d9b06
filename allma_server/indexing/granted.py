"""Indexing as it exists for a principal: only in folders that they may use, and their own jobs."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Protocol

from allma_server._internal.paths import absolute, is_inside, real
from allma_server.errors import DocumentNotFound, JobNotFound
from allma_server.indexing.ingestion import Ingestion
from allma_server.indexing.jobs import Run
from allma_server.indexing.scan import Retry, RunOptions
from allma_server.indexing.schedule import Priority
from allma_server.ports import Progress
from allma_server.types import ForgetReport, IngestReport, Job, Principal, Right, Workspace


class Grants(Protocol):
    """The folders that exist for a principal."""

    def grants(self, path: str) -> bool: ...
    async def workspaces(self) -> list[Workspace]: ...


class GrantedIngestion(Ingestion):
    """A view of ingestion, which shares everything with it.

    What is outside the grants is refused with the same errors as what does not exist. Only
    administrators add folders.
    """

    def __init__(self, whole: Ingestion, grants: Grants, principal: Principal) -> None:
        self.__dict__.update(whole.__dict__)
        self._whole = whole
        self._grants = grants
        self._user = principal.name
        self._may_add = Right.ADMIN in principal.rights

    async def workspaces(self) -> list[Workspace]:
        return await self._grants.workspaces()

    async def approve(self, path: str) -> Workspace:
        if self._may_add:
            return await super().approve(path)
        part = await self._part(path)
        await super().approve(path)
        return part

    async def locate(self, path: str) -> tuple[Workspace, str | None]:
        part = await self._part(path)
        try:
            workspace, within = await super().locate(path)
        except DocumentNotFound as exc:
            raise await self._unknown(path) from exc
        return (part, None) if within is None else (workspace, within)

    async def forget(self, path: str) -> ForgetReport:
        if not await self._exists(path):
            raise DocumentNotFound(
                f"{path!r} is not in the index.", "`allma status` lists the workspaces."
            )
        return await super().forget(path)

    async def _exists(self, path: str) -> bool:
        """Return whether a path is granted, also after links in it are followed."""
        return self._grants.grants(absolute(path)) and self._grants.grants(await real(path))

    async def _part(self, path: str) -> Workspace:
        """Return the workspace in the grants that contains a path.

        Raises:
            DocumentNotFound: there is none.
        """
        if await self._exists(path):
            wanted = await real(path)
            for workspace in await self._grants.workspaces():
                if is_inside(wanted, workspace.path):
                    return workspace
        raise await self._unknown(path)

    async def _unknown(self, path: str) -> DocumentNotFound:
        known = ", ".join(workspace.path for workspace in await self._grants.workspaces())
        return DocumentNotFound(
            f"{path} is not inside an indexed workspace.",
            f"Indexed: {known}." if known else "Ask an administrator to index it.",
        )

    # --- jobs -------------------------------------------------------------------------------

    async def run(
        self,
        workspaces: Sequence[Workspace],
        progress: Progress,
        *,
        deadline: float | None = None,
        only: Collection[str] | None = None,
        retry: Retry = Retry.CHANGED,
        accept_empty: bool = False,
    ) -> IngestReport | Job:
        whole = await self._whole.workspaces()
        if not {each.path for each in workspaces} <= {each.path for each in whole}:
            # Some are a part of a workspace: only that part is brought up to date.
            only = only or {each.path for each in workspaces}
            around = [w for w in whole if any(is_inside(each.path, w.path) for each in workspaces)]
            workspaces = around
        return await super().run(
            workspaces,
            progress,
            deadline=deadline,
            only=only,
            retry=retry,
            accept_empty=accept_empty,
        )

    def _start(
        self,
        workspaces: Sequence[Workspace],
        priority: Priority,
        options: RunOptions,
        *,
        resumed: Job | None = None,
    ) -> Run:
        run = super()._start(workspaces, priority, options, resumed=resumed)
        self.started_by[run.job.id] = self._user
        return run

    async def job(self, job_id: str) -> Job:
        job = await super().job(job_id)
        if not self._is_visible(job):
            raise JobNotFound(f"There is no job {job_id!r}.", "`allma status` lists them.")
        return self._shown(job)

    async def cancel(self, job_id: str) -> Job:
        await self.job(job_id)
        return self._shown(await super().cancel(job_id))

    def active_jobs(self) -> list[Job]:
        return [self._shown(job) for job in super().active_jobs() if self._is_visible(job)]

    def _is_visible(self, job: Job) -> bool:
        """Return whether a job is the principal's own, or the engine's in a granted folder."""
        user = self.started_by.get(job.id)
        engines = user is None and bool(job.path) and self._grants.grants(job.path)
        return self._may_add or engines or user == self._user

    def _shown(self, job: Job) -> Job:
        """Return a job without a folder that contains the grants, or the place of the index."""
        path = job.path if self._grants.grants(job.path) else ""
        where = str(self._config.data_dir)
        return replace(job, path=path, message=job.message.replace(where, "the data directory"))

    def _runs_over(self, workspace: Workspace) -> list[Run]:
        # Those over several folders count files outside the grants.
        runs = super()._runs_over(workspace)
        return runs if self._may_add else [run for run in runs if self._grants.grants(run.job.path)]
