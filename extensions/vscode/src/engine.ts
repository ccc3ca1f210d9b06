/** What the engine is doing, kept fresh for the status bar and the views. */
import * as vscode from "vscode";
import type {
  ProgressToken,
  WorkDoneProgressBegin,
  WorkDoneProgressEnd,
  WorkDoneProgressReport,
} from "vscode-languageclient/node";
import type { EngineSummary, Trouble } from "./chat/messages";
import { stepToModels } from "./chat/steps";
import { config } from "./config";
import type { Ctx } from "./ctx";
import { failureOf, isCancelled } from "./failures";
import { LatestChoice, Rerun } from "./latest";
import * as rpc from "./protocol";

const IDLE_MS = 30_000;
const BUSY_MS = 1_000;

export class EngineWatch implements vscode.Disposable {
  status: rpc.Status | undefined;
  models: rpc.ModelList | undefined;
  /** Why there is no status, when the server has one to give. */
  trouble: Trouble | null = null;

  private readonly changed = new vscode.EventEmitter<void>();
  readonly onDidChange = this.changed.event;
  /** Percentages of the indexing the server does by itself, by progress token. */
  private readonly work = new Map<ProgressToken, number | undefined>();
  private timer: NodeJS.Timeout | undefined;
  private readonly refreshing = new Rerun(() => this.ask());
  private readonly model = new LatestChoice<string>((name) => this.applyModel(name));

  constructor(private readonly ctx: Ctx) {}

  dispose(): void {
    clearTimeout(this.timer);
    this.changed.dispose();
  }

  /** Takes over the progress of background work, so that it is shown in one place only. */
  follow(
    token: ProgressToken,
    params: WorkDoneProgressBegin | WorkDoneProgressReport | WorkDoneProgressEnd,
  ): boolean {
    if (ownTokens.has(token)) return false;
    if (params.kind === "end") this.work.delete(token);
    else this.work.set(token, params.percentage);
    // The bar tells that something goes on; how many files there are, only the status does.
    if (params.kind !== "report") void this.refresh();
    this.changed.fire();
    return true;
  }

  /** Asks the server how it is; what is told is no older than the call. */
  refresh(): Promise<void> {
    return this.refreshing.request();
  }

  /** Chooses the model that answers from now on. */
  async useModel(name: string): Promise<void> {
    const chosen = this.model.choose(name);
    this.changed.fire();
    try {
      await chosen;
    } finally {
      await this.refresh();
    }
  }

  /** Waits until the model that was chosen last is the one that answers. */
  modelSettled(): Promise<void> {
    return this.model.settled();
  }

  /** Files done and to do; null when nothing is being indexed. */
  get indexing(): { done: number; total: number | null } | null {
    // Other jobs (erasing, a change of embedders) hide nothing from a search.
    const jobs = (this.status?.jobs ?? []).filter((job) => isActive(job) && job.kind === "ingest");
    if (!jobs.length) return this.work.size ? { done: 0, total: null } : null;
    const sum = (numbers: number[]) => numbers.reduce((a, b) => a + b, 0);
    const totals = jobs.flatMap((job) => (job.total === null ? [] : [job.total]));
    return {
      done: sum(jobs.map((job) => job.done)),
      total: totals.length === jobs.length ? sum(totals) : null,
    };
  }

  get summary(): EngineSummary | null {
    const status = this.status;
    if (!status) return null;
    return {
      documents: status.workspaces.reduce((sum, w) => sum + w.documents, 0),
      folders: status.workspaces.length,
      indexing: this.indexing,
      embedderReason: status.embedder.reason,
      ollama: {
        reachable: status.ollama.reachable,
        reason: status.ollama.reason,
        step: stepToModels(status.ollama),
      },
      models: (this.models?.models ?? []).filter(canChat).map((model) => model.name),
      model: this.model.wanted ?? config.chatModel ?? this.models?.inUse ?? status.chatModel,
      trusted: vscode.workspace.isTrusted,
    };
  }

  private async applyModel(name: string): Promise<void> {
    await this.ctx.request(rpc.modelsUse, { name });
    if (config.chatModel !== undefined) await config.setChatModel(name);
  }

  private async ask(): Promise<void> {
    clearTimeout(this.timer);
    if (this.ctx.connection.state !== "ready") {
      this.work.clear();
      return;
    }
    try {
      this.status = await engineStatus(this.ctx);
      this.models = this.status.ollama.reachable
        ? await this.ctx.request(rpc.modelsList, {})
        : undefined;
      this.trouble = null;
    } catch (error) {
      if (!isCancelled(error)) this.trouble = failureOf(error);
      this.ctx.log.debug(`No status: ${error}`);
    }
    this.changed.fire();
    const busy = this.indexing !== null;
    if (vscode.window.state.focused || busy) {
      this.timer = setTimeout(() => void this.refresh(), busy ? BUSY_MS : IDLE_MS);
    }
  }
}

/** How the engine is; without a job's id that is what is answered. */
export async function engineStatus(ctx: Ctx): Promise<rpc.Status> {
  return (await ctx.request(rpc.status, {})) as rpc.Status;
}

/** Tokens of progress that a command shows itself. */
export const ownTokens = new Set<ProgressToken>();

export function canChat(model: rpc.ModelInfo): boolean {
  return model.capabilities.length === 0 || model.capabilities.includes("completion");
}

export function isActive(job: rpc.Job): boolean {
  return job.state === "running" || job.state === "queued";
}
