/** The engine's state, polled from the server, for the status bar and the views. */

import { indexingOf, summaryOf } from "@allma/web/chat/engine";
import type { Connection, EngineSummary } from "@allma/web/chat/messages";
import { CoalescedTask, LatestChoice } from "@allma/web/latest";
import * as vscode from "vscode";
import type {
  ProgressToken,
  RequestType,
  WorkDoneProgressBegin,
  WorkDoneProgressEnd,
  WorkDoneProgressReport,
} from "vscode-languageclient/node";
import { config } from "./config";
import { failureOf, isCancelled } from "./failures";
import * as rpc from "./protocol";

/** Time between two requests while the engine is idle, and while it indexes. */
const IDLE_MS = 30_000;
const BUSY_MS = 1_000;

/** The connection through which the engine's state is requested. */
export interface Server {
  readonly connection: Connection;
  readonly log: vscode.LogOutputChannel;
  request<P, R, E>(type: RequestType<P, R, E>, params: P): Promise<R>;
}

export class EngineMonitor implements vscode.Disposable {
  status: rpc.Status | undefined;
  models: rpc.ModelList | undefined;
  /** Why the last request for the status failed. */
  failure: rpc.Failure | null = null;

  private readonly changed = new vscode.EventEmitter<void>();
  readonly onDidChange = this.changed.event;
  /** Percentage of each background indexing run, by progress token. */
  private readonly background = new Map<ProgressToken, number | undefined>();
  private timer: NodeJS.Timeout | undefined;
  private readonly refreshing = new CoalescedTask(() => this.poll());
  private readonly model = new LatestChoice<string>((name) => this.applyModel(name));

  constructor(private readonly server: Server) {}

  dispose(): void {
    clearTimeout(this.timer);
    this.changed.dispose();
  }

  /** Handles progress of background work; returns false for progress that a command shows. */
  handleProgress(
    token: ProgressToken,
    params: WorkDoneProgressBegin | WorkDoneProgressReport | WorkDoneProgressEnd,
  ): boolean {
    if (commandTokens.has(token)) return false;
    if (params.kind === "end") this.background.delete(token);
    else this.background.set(token, params.percentage);
    // Progress has no file counts, so begin and end request the status.
    if (params.kind !== "report") void this.refresh();
    this.changed.fire();
    return true;
  }

  /** Requests the status. The result is never older than the call. */
  refresh(): Promise<void> {
    return this.refreshing.request();
  }

  /** Selects the chat model. */
  async useModel(name: string): Promise<void> {
    const chosen = this.model.choose(name);
    this.changed.fire();
    try {
      await chosen;
    } finally {
      await this.refresh();
    }
  }

  /** Waits until the model selected last is in use. */
  modelSettled(): Promise<void> {
    return this.model.settled();
  }

  /** Indexed and total files of the running jobs; null when nothing is being indexed. */
  get indexing(): { done: number; total: number | null } | null {
    const begun = this.background.size ? { done: 0, total: null } : null;
    return indexingOf(this.status?.jobs ?? []) ?? begun;
  }

  get summary(): EngineSummary | null {
    if (!this.status) return null;
    const model = this.model.pending ?? config.chatModel ?? null;
    const trusted = vscode.workspace.isTrusted;
    const folders = vscode.workspace.workspaceFolders ?? [];
    // The troubles of other projects are shown in the documents view.
    const isShown = (path: string) => folders.some(({ uri }) => uri.fsPath === path);
    const summary = summaryOf(this.status, this.models, { model, trusted }, isShown);
    return { ...summary, indexing: this.indexing };
  }

  private async applyModel(name: string): Promise<void> {
    await this.server.request(rpc.modelsUse, { name });
    if (config.chatModel !== undefined) await config.setChatModel(name);
  }

  private async poll(): Promise<void> {
    clearTimeout(this.timer);
    if (this.server.connection.state !== "ready") {
      this.background.clear();
      return;
    }
    try {
      this.status = await engineStatus(this.server);
      this.models = this.status.ollama.reachable
        ? await this.server.request(rpc.modelsList, {})
        : undefined;
      this.failure = null;
    } catch (error) {
      if (!isCancelled(error)) this.failure = failureOf(error);
      this.server.log.debug(`No status: ${error}`);
    }
    this.changed.fire();
    const busy = this.indexing !== null;
    if (vscode.window.state.focused || busy) {
      this.timer = setTimeout(() => void this.refresh(), busy ? BUSY_MS : IDLE_MS);
    }
  }
}

/** The engine's status. (With a `jobId` the same request returns a job.) */
export async function engineStatus(server: Server): Promise<rpc.Status> {
  return (await server.request(rpc.status, {})) as rpc.Status;
}

/** Progress tokens of requests whose progress the sending command shows. */
export const commandTokens = new Set<ProgressToken>();
