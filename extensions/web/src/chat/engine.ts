/** The part of the engine's status that the chat shows. */
import type { Job, ModelInfo, ModelList, Status } from "../protocol";
import type { EngineSummary } from "./messages";
import { stepForModelServer } from "./steps";

/**
 * `model`: the one that answers; `trusted`: whether the host lets folders be indexed; `shown`: the
 * folders that the host shows.
 */
export function summaryOf(
  status: Status,
  models: ModelList | undefined,
  { model, trusted }: Pick<EngineSummary, "model" | "trusted">,
  shown: (path: string) => boolean = () => true,
): EngineSummary {
  const { reachable, reason } = status.ollama;
  const workspaces = status.workspaces.filter(({ path }) => shown(path));
  return {
    failed: workspaces.reduce((sum, w) => sum + w.failed, 0),
    stopped: workspaces.find((w) => w.reason !== null)?.reason ?? null,
    documents: status.workspaces.reduce((sum, w) => sum + w.documents, 0),
    folders: status.workspaces.length,
    indexing: indexingOf(status.jobs),
    embedderReason: status.embedder.reason,
    ollama: { reachable, reason, step: stepForModelServer(status.ollama) },
    models: (models?.models ?? []).filter(canChat).map(({ name }) => name),
    model: model ?? models?.inUse ?? status.chatModel,
    trusted,
  };
}

/** Indexed and total files of the running jobs; null when nothing is being indexed. */
export function indexingOf(all: readonly Job[]): { done: number; total: number | null } | null {
  // During other jobs (erasing, re-embedding) searches are complete.
  const jobs = all.filter((job) => isActive(job) && job.kind === "ingest");
  if (!jobs.length) return null;
  const sum = (numbers: number[]) => numbers.reduce((a, b) => a + b, 0);
  const totals = jobs.flatMap((job) => (job.total === null ? [] : [job.total]));
  return {
    done: sum(jobs.map((job) => job.done)),
    total: totals.length === jobs.length ? sum(totals) : null,
  };
}

export function canChat(model: ModelInfo): boolean {
  return model.capabilities.length === 0 || model.capabilities.includes("completion");
}

export function isActive(job: Job): boolean {
  return job.state === "running" || job.state === "queued";
}
