/**
 * The current conversation and its pending answer. The server stores conversations; the session
 * holds what is in progress, so that a view that is closed and reopened shows the same.
 */

import { Latest } from "../latest";
import type * as rpc from "../protocol";
import type { Failure } from "../protocol";
import {
  type Attachment,
  cautionFor,
  noticeRemarks,
  type Opening,
  type Pending,
  scopeOf,
  sourceOf,
  type ToView,
  type Turn,
  type TypedQuestion,
  type ViewState,
  withSelections,
} from "./messages";
import type { Remark } from "./steps";

type Shown = Omit<ViewState, "connection" | "engine" | "failure">;

/** The operations of the server that a session uses. */
export interface Backend {
  ask(
    params: rpc.AskParams,
    onProgress: (progress: rpc.AskProgress) => void,
    signal: AbortSignal,
  ): Promise<rpc.Answer>;
  show(id: string): Promise<rpc.Conversation>;
  /** Rejects if there is no such file or folder, neither on the disk nor in the index. */
  check(path: string): Promise<unknown>;
  failure(error: unknown): Failure | "cancelled";
}

export class Session {
  /** Id of the conversation selected last: it is shown, and questions are asked in it. */
  id: string | undefined;

  /** That conversation as the server last returned it; never another one. */
  private conversation: rpc.Conversation | undefined;
  private opening: Opening | null = null;
  private attachments: Attachment[] = [];
  private pending: Pending | null = null;
  private stats: rpc.AnswerStats | null = null;
  private thinking = "";
  private remarks: Remark[] = [];
  private stopping: AbortController | undefined;
  private readonly reads = new Latest();

  constructor(
    private readonly backend: Backend,
    private readonly post: (message: ToView) => void,
    /** Called when another conversation is selected, or the current one changed on the server. */
    private readonly changed: (kind: "selected" | "written") => void,
  ) {}

  get busy(): boolean {
    return this.stopping !== undefined;
  }

  get title(): string | null {
    return this.conversation?.title ?? null;
  }

  /** Whether the conversation failed to load; loading can be retried. */
  get hasLoadError(): boolean {
    return this.opening?.failure !== undefined;
  }

  snapshot(): Shown {
    return {
      conversation: this.id ?? null,
      opening: this.opening,
      title: this.title,
      turns: turnsOf(this.conversation, this.pending),
      pending: this.pending,
      stats: this.stats,
      thinking: this.thinking,
      remarks: this.remarks,
      attachments: this.attachments,
    };
  }

  /** Asks a question that was typed in a conversation; returns it to the input if another is shown. */
  async askTyped(typed: TypedQuestion): Promise<void> {
    if (this.busy || typed.conversation !== (this.id ?? null)) {
      this.post({ type: "compose", text: typed.question });
    } else await this.ask(typed.question, typed.useRag, typed.replaces, typed.deep);
  }

  /** Asks a question, replacing the message `replaces` if given. The answer streams to the view. */
  async ask(question: string, useRag: boolean, replaces?: string, deep?: boolean): Promise<void> {
    if (this.busy) return;
    const full = withSelections(question, this.attachments);
    if (!full) return;
    const scope = scopeOf(this.attachments);
    const named = this.attachments.flatMap((a) => (a.kind === "scope" ? [a.path] : []));
    this.attachments = this.attachments.filter((a) => a.kind === "scope");
    const stopping = new AbortController();
    this.stopping = stopping;
    this.forgetDetails();
    this.pending = {
      question: full,
      answer: "",
      thinking: "",
      status: null,
      sources: [],
      state: "waiting",
      replaces,
    };
    this.publish();
    try {
      // As a pattern among others, a file that is gone would be left out silently.
      if (named.length > 1) await Promise.all(named.map((path) => this.backend.check(path)));
      const answer = await this.backend.ask(
        {
          question: full,
          conversationId: this.id,
          useRag,
          deep,
          replaces,
          ...scope,
        },
        (progress) => this.onProgress(stopping, progress),
        stopping.signal,
      );
      if (this.stopping !== stopping) return; // another conversation was selected in the meantime
      this.setId(answer.conversationId);
      if (!(await this.read())) return;
      this.thinking = this.pending?.thinking ?? "";
      this.pending = null;
      this.stats = answer.stats;
      this.remarks = noticeRemarks(answer);
    } catch (error) {
      if (this.stopping !== stopping) return;
      await this.endWithFailure(stopping, this.backend.failure(error));
    } finally {
      if (this.stopping === stopping) {
        this.stopping = undefined;
        this.publish();
      }
      this.changed("written");
    }
  }

  /** Stops the answer; the text received so far stays. */
  stop(): void {
    this.stopping?.abort();
  }

  /**
   * Selects a conversation, or a new one. Questions are asked in it from now on, also while it is
   * loading. Selecting the current conversation again does not stop its answer.
   */
  async select(id: string | undefined): Promise<void> {
    if (id !== undefined && id === this.id && this.busy) return;
    this.discardAnswer();
    this.id = id;
    this.conversation = undefined;
    await this.open();
  }

  /** Selects the conversation of an earlier window, unless it was deleted. */
  async restore(id: string): Promise<void> {
    await this.select(id).catch(() => undefined);
  }

  /** Reloads the current conversation: another client may have renamed or continued it. */
  async reload(): Promise<void> {
    if (this.busy || this.id === undefined) return;
    if (this.opening) return this.open().catch(() => undefined);
    try {
      if (!(await this.read())) return;
    } catch (error) {
      if (!isNotFound(this.backend.failure(error))) return;
      this.clear();
    }
    this.publish();
  }

  attach(attachment: Attachment): void {
    const isSame = (a: Attachment) =>
      a.kind === "scope" && attachment.kind === "scope" && a.path === attachment.path;
    this.attachments = [...this.attachments.filter((a) => !isSame(a)), attachment];
    this.publish();
  }

  detach(index: number): void {
    this.attachments = this.attachments.filter((_, i) => i !== index);
    this.publish();
  }

  /** Cancels a running answer and clears its state. The server stores the text up to there. */
  private discardAnswer(): void {
    const stopping = this.stopping;
    this.stopping = undefined;
    stopping?.abort();
    this.pending = null;
    this.forgetDetails();
    this.attachments = [];
  }

  /** Clears what is shown beside the last answer and is not stored. */
  private forgetDetails(): void {
    this.stats = null;
    this.thinking = "";
    this.remarks = [];
  }

  /** Loads the selected conversation and publishes the progress. Rejects if it was deleted. */
  private async open(): Promise<void> {
    this.opening = this.id === undefined ? null : {};
    const reading = this.read();
    this.publish();
    this.changed("selected");
    try {
      if (!(await reading) || this.id === undefined) return;
    } catch (error) {
      const failure = this.backend.failure(error);
      if (isNotFound(failure) && !this.busy) {
        this.clear();
        this.publish();
        throw error;
      }
      this.opening = { failure: toFailure(failure) };
    }
    this.publish();
    this.changed("selected");
  }

  /** Requests the conversation; returns false if a newer request was sent since. */
  private async read(): Promise<boolean> {
    const isLatest = this.reads.begin();
    if (this.id === undefined) return true;
    try {
      const conversation = await this.backend.show(this.id);
      if (!isLatest()) return false;
      this.conversation = conversation;
      this.opening = null;
      return true;
    } catch (error) {
      if (!isLatest()) return false;
      throw error;
    }
  }

  /** Starts a new conversation after the current one was deleted. */
  private clear(): void {
    this.id = undefined;
    this.conversation = undefined;
    this.opening = null;
    this.changed("selected");
  }

  private onProgress(stopping: AbortController, progress: rpc.AskProgress): void {
    if (this.stopping !== stopping || !this.pending) return;
    switch (progress.kind) {
      case "started":
        this.pending.messageId = progress.messageId;
        this.setId(progress.conversationId);
        this.publish();
        break;
      case "status":
        this.pending.status = progress.message;
        this.post({ type: "status", text: progress.message });
        break;
      case "thinking":
        this.pending.thinking += progress.text;
        this.post({ type: "thinking", text: progress.text });
        break;
      case "chunk":
        this.pending.answer += progress.text;
        this.pending.state = "streaming";
        this.post({ type: "chunk", text: progress.text });
        break;
      case "sources":
        this.pending.sources = progress.citations.map((c) => sourceOf(c));
        this.publish();
    }
  }

  private setId(id: string): void {
    if (this.id === id) return;
    this.id = id;
    this.changed("selected");
  }

  /** Ends a stopped or failed answer: shows what the server stored, and the failure if any. */
  private async endWithFailure(
    stopping: AbortController,
    failure: Failure | "cancelled",
  ): Promise<void> {
    const pending = this.pending;
    let unread: Failure | undefined;
    try {
      await this.read();
    } catch (error) {
      unread = toFailure(this.backend.failure(error));
    }
    if (this.stopping !== stopping) return; // another conversation was selected in the meantime
    this.pending = null;
    if (isNotFound(failure)) this.clear();
    if (failure === "cancelled" || !pending) {
      if (unread) this.opening = { failure: unread };
      return;
    }
    const isStored = this.conversation?.messages.some(({ id }) => id === pending.messageId);
    const replaces = isStored ? pending.messageId : pending.replaces;
    this.pending = {
      ...pending,
      state: "failed",
      failure: toFailure(failure),
      replaces: isNotFound(failure) ? undefined : replaces,
    };
  }

  private publish(): void {
    this.post({ type: "state", state: this.snapshot() });
  }
}

function isNotFound(failure: Failure | "cancelled"): boolean {
  return failure !== "cancelled" && failure.code === "conversation_not_found";
}

function toFailure(failure: Failure | "cancelled"): Failure {
  if (failure === "cancelled") return { code: "cancelled", message: "Stopped.", hint: null };
  return { code: failure.code, message: failure.message, hint: failure.hint };
}

/** The visible messages, without those that the pending question replaces. */
export function turnsOf(
  conversation: rpc.Conversation | undefined,
  pending: Pending | null,
): Turn[] {
  const messages = conversation?.messages ?? [];
  const hidden = [pending?.messageId, pending?.replaces];
  const end = pending ? messages.findIndex((message) => hidden.includes(message.id)) : -1;
  return messages
    .slice(0, end < 0 ? undefined : end)
    .filter((message) => message.role !== "system")
    .map((message) => turnOf(message));
}

function turnOf(message: rpc.Message): Turn {
  return {
    id: message.id,
    role: message.role === "user" ? "user" : "assistant",
    text: message.content,
    model: message.model,
    caution: cautionFor(message.grounding),
    passagesOnly: message.model === null && message.sources.length > 0,
    sources: message.sources.map((source) => sourceOf(source, message.content)),
  };
}
