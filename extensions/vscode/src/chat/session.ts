/**
 * The conversation on the screen. The server has the truth; here is what is under way, so that a
 * view that is closed and opened again, or a window that is loaded anew, shows the same.
 */

import type * as rpc from "../protocol";
import type { Failure } from "../protocol";
import {
  type Attachment,
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
  latest(): Promise<rpc.Conversation | undefined>;
  failure(error: unknown): Failure | "cancelled";
}

export class Session {
  id: string | undefined;

  private conversation: rpc.Conversation | undefined;
  private attachments: Attachment[] = [];
  private pending: Pending | null = null;
  private stats: rpc.AnswerStats | null = null;
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

  snapshot(): Pick<ViewState, "title" | "turns" | "pending" | "stats" | "attachments"> {
    return {
      title: this.title,
      turns: turnsOf(this.conversation, this.pending),
      pending: this.pending,
      stats: this.stats,
      attachments: this.attachments,
    };
  }

  /** Asks; the answer streams to the view and ends up in the conversation. */
  async ask(question: string, useRag: boolean, model: string | undefined): Promise<void> {
    if (this.busy) return;
    const full = withSelections(question, this.attachments);
    if (!full) return;
    const scope = this.attachments.find((a) => a.kind === "scope");
    this.attachments = this.attachments.filter((a) => a.kind === "scope");
    const stopping = new AbortController();
    this.stopping = stopping;
    this.stats = null;
    this.pending = { question: full, answer: "", sources: [], state: "waiting" };
    this.publish();
    let id = this.id;
    try {
      const answer = await this.backend.ask(
        { question: full, conversationId: id, useRag, model, workspace: scope?.path },
        (progress) => this.onProgress(stopping, progress),
        stopping.signal,
      );
      id = answer.conversationId;
      if (this.stopping !== stopping) return; // another conversation was opened meanwhile
      this.stats = answer.stats;
      await this.settle(id);
    } catch (error) {
      if (this.stopping !== stopping) return;
      const failure = this.backend.failure(error);
      id ??= await this.idOf(full);
      await this.settle(id).catch(() => undefined);
      if (failure !== "cancelled") {
        this.pending = {
          question: full,
          answer: "",
          sources: [],
          state: "failed",
          failure: { message: failure.message, hint: failure.hint },
        };
      }
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
    this.attachments = [];
  }

  private onProgress(stopping: AbortController, progress: rpc.AskProgress): void {
    if (this.stopping !== stopping || !this.pending) return;
    if (progress.kind === "chunk") {
      this.pending.answer += progress.text;
      this.pending.state = "streaming";
      this.post({ type: "chunk", text: progress.text });
    } else {
      this.pending.sources = progress.citations.map((c) => sourceOf(c));
      this.publish();
    }
  }

  private async settle(id: string | undefined): Promise<void> {
    if (id !== undefined) {
      const conversation = await this.backend.show(id);
      const isNew = this.id !== id;
      this.id = id;
      this.conversation = conversation;
      if (isNew) this.changed("selected");
    }
    this.pending = null;
  }

  /** The conversation that a stopped first question began: its id never came back. */
  private async idOf(question: string): Promise<string | undefined> {
    try {
      const latest = await this.backend.latest();
      const asked = latest?.messages.findLast((message) => message.role === "user");
      return asked?.content.trim() === question.trim() ? latest?.id : undefined;
    } catch {
      return undefined; // the failure of the question itself is what is told
    }
  }

  private publish(): void {
    this.post({ type: "state", state: this.snapshot() });
  }
}

/** The messages people see, without the question that is still being answered. */
export function turnsOf(
  conversation: rpc.Conversation | undefined,
  pending: Pending | null,
): Turn[] {
  const turns = (conversation?.messages ?? [])
    .filter((message) => message.role !== "system")
    .map((message) => turnOf(message));
  const last = turns.at(-1);
  const isShownTwice = pending && last?.role === "user" && last.text === pending.question;
  return isShownTwice ? turns.slice(0, -1) : turns;
}

function turnOf(message: rpc.Message): Turn {
  return {
    id: message.id,
    role: message.role === "user" ? "user" : "assistant",
    text: message.content,
    model: message.model,
    passagesOnly: message.role === "assistant" && message.model === null,
    sources: message.sources.map((source) => sourceOf(source, message.content)),
  };
}
