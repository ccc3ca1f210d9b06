/**
 * The conversation on the screen. The server has the truth; here is what is under way, so that a
 * view that is closed and opened again, or a window that is loaded anew, shows the same.
 */

import type * as rpc from "../protocol";
import type { Failure } from "../protocol";
import {
  type Attachment,
  cautionOn,
  limitsOf,
  type Pending,
  sourceOf,
  type ToView,
  type Turn,
  type ViewState,
  withSelections,
} from "./messages";

/** What a session needs of the server. */
export interface Backend {
  ask(
    params: rpc.AskParams,
    onProgress: (progress: rpc.AskProgress) => void,
    signal: AbortSignal,
  ): Promise<rpc.Answer>;
  show(id: string): Promise<rpc.Conversation>;
  failure(error: unknown): Failure | "cancelled";
}

export class Session {
  id: string | undefined;

  private conversation: rpc.Conversation | undefined;
  private attachments: Attachment[] = [];
  private pending: Pending | null = null;
  private stats: rpc.AnswerStats | null = null;
  private remarks: string[] = [];
  private stopping: AbortController | undefined;

  constructor(
    private readonly backend: Backend,
    private readonly post: (message: ToView) => void,
    /** Called when another conversation is shown, or the shown one has changed on the server. */
    private readonly changed: (kind: "selected" | "written") => void,
  ) {}

  get busy(): boolean {
    return this.stopping !== undefined;
  }

  get title(): string | null {
    return this.conversation?.title ?? null;
  }

  snapshot(): Pick<ViewState, "title" | "turns" | "pending" | "stats" | "remarks" | "attachments"> {
    return {
      title: this.title,
      turns: turnsOf(this.conversation, this.pending),
      pending: this.pending,
      stats: this.stats,
      remarks: this.remarks,
      attachments: this.attachments,
    };
  }

  /** Asks, in the place of the message `replaces` if given; the answer streams to the view. */
  async ask(question: string, useRag: boolean, replaces?: string): Promise<void> {
    if (this.busy) return;
    const full = withSelections(question, this.attachments);
    if (!full) return;
    const scope = this.attachments.find((a) => a.kind === "scope");
    this.attachments = this.attachments.filter((a) => a.kind === "scope");
    const stopping = new AbortController();
    this.stopping = stopping;
    this.stats = null;
    this.remarks = [];
    this.pending = { question: full, answer: "", sources: [], state: "waiting", replaces };
    this.publish();
    try {
      const answer = await this.backend.ask(
        { question: full, conversationId: this.id, useRag, replaces, workspace: scope?.path },
        (progress) => this.onProgress(stopping, progress),
        stopping.signal,
      );
      if (this.stopping !== stopping) return; // another conversation was opened meanwhile
      this.stats = answer.stats;
      this.remarks = limitsOf(answer);
      this.identify(answer.conversationId);
      await this.settle();
    } catch (error) {
      if (this.stopping !== stopping) return;
      await this.breakOff(this.backend.failure(error));
    } finally {
      if (this.stopping === stopping) {
        this.stopping = undefined;
        this.publish();
      }
      this.changed("written");
    }
  }

  /** Stops the answer; what has come so far stays. */
  stop(): void {
    this.stopping?.abort();
  }

  /** Shows a conversation, or an empty new one. */
  async select(id: string | undefined): Promise<void> {
    this.abandon();
    this.id = id;
    this.conversation = id === undefined ? undefined : await this.backend.show(id);
    this.publish();
    this.changed("selected");
  }

  /** Shows what an earlier window showed; where it cannot be had just now, `reload` may later. */
  async restore(id: string): Promise<void> {
    this.id = id;
    await this.reload();
    this.changed("selected");
  }

  /** Reads the shown conversation again: it may have been renamed, or written to elsewhere. */
  async reload(): Promise<void> {
    if (this.busy || this.id === undefined) return;
    try {
      this.conversation = await this.backend.show(this.id);
    } catch (error) {
      const failure = this.backend.failure(error);
      if (failure === "cancelled" || failure.code !== "conversation_not_found") return;
      this.id = undefined;
      this.conversation = undefined;
      this.changed("selected");
    }
    this.publish();
  }

  attach(attachment: Attachment): void {
    // The index is narrowed to one place; several selections can be asked about at once.
    const others = this.attachments.filter(
      (a) => a.kind !== "scope" || attachment.kind !== "scope",
    );
    this.attachments = [...others, attachment];
    this.publish();
  }

  detach(index: number): void {
    this.attachments = this.attachments.filter((_, i) => i !== index);
    this.publish();
  }

  /** Lets go of a running answer, which the server then keeps as far as it came. */
  private abandon(): void {
    const stopping = this.stopping;
    this.stopping = undefined;
    stopping?.abort();
    this.pending = null;
    this.stats = null;
    this.remarks = [];
    this.attachments = [];
  }

  private onProgress(stopping: AbortController, progress: rpc.AskProgress): void {
    if (this.stopping !== stopping || !this.pending) return;
    switch (progress.kind) {
      case "started":
        this.pending.messageId = progress.messageId;
        this.identify(progress.conversationId);
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

  private identify(id: string): void {
    if (this.id === id) return;
    this.id = id;
    this.changed("selected");
  }

  /** Shows what the server has of the conversation, in the place of what was under way. */
  private async settle(): Promise<void> {
    if (this.id !== undefined) this.conversation = await this.backend.show(this.id);
    this.pending = null;
  }

  /** A stopped answer is as the server kept it; one that failed says why, below what had come. */
  private async breakOff(failure: Failure | "cancelled"): Promise<void> {
    const asked = this.pending;
    await this.settle().catch(() => undefined);
    if (failure === "cancelled" || !asked) return;
    const isStored = this.conversation?.messages.some(({ id }) => id === asked.messageId);
    this.pending = {
      ...asked,
      state: "failed",
      failure: { message: failure.message, hint: failure.hint },
      replaces: isStored ? asked.messageId : asked.replaces,
    };
  }

  private publish(): void {
    this.post({ type: "state", state: this.snapshot() });
  }
}

/** The messages people see, but for those whose place the pending question takes. */
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
    caution: cautionOn(message.grounding),
    passagesOnly: message.model === null && message.sources.length > 0,
    sources: message.sources.map((source) => sourceOf(source, message.content)),
  };
}
