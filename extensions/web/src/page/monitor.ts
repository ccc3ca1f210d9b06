/** The state of the server: polled while the page is visible, and whenever something is done. */
import { indexingOf, isActive, summaryOf } from "../chat/engine";
import type { Connection, EngineSummary } from "../chat/messages";
import { CoalescedTask } from "../latest";
import type { Failure, ModelList, Status } from "../protocol";
import { failureOf, type Me, Refused, type Server } from "./http";
import { preferences } from "./preferences";

const IDLE_MS = 30_000;
const BUSY_MS = 1_500;
const LOST_MS = 2_000;
/** A server that `allma open` started runs as long as it is asked at times, also by a hidden page. */
const HIDDEN_MS = 120_000;

export class Monitor {
  connection: Connection = { state: "starting" };
  status: Status | undefined;
  models: ModelList | undefined;
  me: Me | undefined;
  failure: Failure | null = null;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private isSignedOut = false;
  private readonly refreshing = new CoalescedTask(() => this.poll());
  private readonly listeners: (() => void)[] = [];

  constructor(private readonly server: Server) {
    server.onUnreachable = () => this.lost();
    addEventListener("visibilitychange", () => document.hidden || void this.refresh());
    addEventListener("online", () => void this.refresh());
  }

  onChange(listener: () => void): void {
    this.listeners.push(listener);
  }

  /** Requests the state. The result is never older than the call. */
  refresh(): Promise<void> {
    return this.refreshing.request();
  }

  /** Stops polling until somebody has signed in. */
  signedOut(): void {
    this.isSignedOut = true;
    this.me = undefined;
    clearTimeout(this.timer);
  }

  async signedIn(): Promise<void> {
    this.isSignedOut = false;
    await this.refresh();
  }

  may(right: string): boolean {
    return this.me?.rights.includes(right) ?? false;
  }

  get summary(): EngineSummary | null {
    if (!this.status) return null;
    const model = this.may("admin") ? null : preferences.model;
    return summaryOf(this.status, this.models, { model, trusted: true });
  }

  private async poll(): Promise<void> {
    clearTimeout(this.timer);
    if (this.isSignedOut) return;
    try {
      this.me ??= await this.server.me();
      this.status = (await this.server.call("status", {})) as Status;
      this.models = this.status.ollama.reachable
        ? await this.server.call("models.list", {})
        : undefined;
      this.failure = null;
      this.connection = { state: "ready" };
    } catch (error) {
      if (error instanceof Refused && error.status === 401) return;
      if (error instanceof Refused && error.status === 0) return this.lost();
      const failure = failureOf(error);
      this.failure = failure === "cancelled" ? null : failure;
      this.connection = { state: "ready" };
    }
    this.changed();
    const jobs = this.status?.jobs ?? [];
    const isBusy = indexingOf(jobs) !== null || jobs.some(isActive);
    this.again(isBusy ? BUSY_MS : document.hidden ? HIDDEN_MS : IDLE_MS);
  }

  private lost(): void {
    const reason =
      "This page reconnects by itself. To start Allma, run `allma open` in a terminal.";
    const isNew = this.connection.state !== "stopped";
    this.connection = { state: "stopped", reason };
    if (isNew) this.changed();
    this.again(LOST_MS);
  }

  private again(milliseconds: number): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => void this.refresh(), milliseconds);
  }

  private changed(): void {
    for (const listener of this.listeners) listener();
  }
}
