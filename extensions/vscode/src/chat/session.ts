/**
 * The conversation on the screen. The server has the truth; here is what is under way, so that a
 * view that is closed and opened again, or a window that is loaded anew, shows the same.
 */

import { Latest } from "../latest";
import type * as rpc from "../protocol";
import type { Failure } from "../protocol";
import {
  type Attachment,
  cautionOn,
  limitsOf,
  type Opening,
  type Pending,
  sourceOf,
  type ToView,
  type Trouble,
  type Turn,
  type Typed,
  type ViewState,
  withSelections,
} from "./messages";
import type { Remark } from "./steps";

type Shown = Omit<ViewState, "connection" | "engine" | "trouble">;

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
  /** The conversation that was chosen last: it is shown, and questions are asked in it. */
  id: string | undefined;

  /** What the server has of it; nothing of another one is ever here. */
  private conversation: rpc.Conversation | undefined;
  private opening: Opening | null = null;
  private attachments: Attachment[] = [];
  private pending: Pending | null = null;
  private stats: rpc.AnswerStats | null = null;
  private remarks: Remark[] = [];
  private stopping: AbortController | undefined;
  private readonly reads = new Latest();

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

  /** Whether the conversation could not be read, which may succeed later. */
  get isUnread(): boolean {
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
      remarks: this.remarks,
      attachments: this.attachments,
    };
  }

  /** Asks what was typed below a conversation; gives it back where another one is shown by now. */
  async asked(typed: Typed): Promise<void> {
    if (this.busy || typed.conversation !== (this.id ?? null)) {
      this.post({ type: "compose", text: typed.question });
    } else await this.ask(typed.question, typed.useRag, typed.replaces);
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
      this.identify(answer.conversationId);
      if (!(await this.read())) return;
      this.pending = null;
      this.stats = answer.stats;
      this.remarks = limitsOf(answer);
    } catch (error) {
      if (this.stopping !== stopping) return;
      await this.breakOff(stopping, this.backend.failure(error));
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

  /**
   * Shows a conversation, or an empty new one. From here on it is the one that is asked in, also
   * while it is read; when it is shown already, its running answer goes on.
   */
  async select(id: string | undefined): Promise<void> {
    if (id !== undefined && id === this.id && this.busy) return;
    this.abandon();
    this.id = id;
    this.conversation = undefined;
    await this.open();
  }

  /** Shows what an earlier window showed, unless it is gone. */
  async restore(id: string): Promise<void> {
    await this.select(id).catch(() => undefined);
  }

  /** Reads the shown conversation again: it may have been renamed, or written to elsewhere. */
  async reload(): Promise<void> {
    if (this.busy || this.id === undefined) return;
    if (this.opening) return this.open().catch(() => undefined);
    try {
      if (!(await this.read())) return;
    } catch (error) {
      if (!isGone(this.backend.failure(error))) return;
      this.forget();
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

  /** Reads what was chosen, and shows that it does. Rejects when that is gone. */
  private async open(): Promise<void> {
    this.opening = this.id === undefined ? null : {};
    const reading = this.read();
    this.publish();
    this.changed("selected");
    try {
      if (!(await reading) || this.id === undefined) return;
    } catch (error) {
      const failure = this.backend.failure(error);
      if (isGone(failure) && !this.busy) {
        this.forget();
        this.publish();
        throw error;
      }
      this.opening = { failure: troubleOf(failure) };
    }
    this.publish();
    this.changed("selected");
  }

  /** Reads the conversation; false when something newer took the place of this reading. */
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

  /** The conversation was deleted: what is asked next begins a new one. */
  private forget(): void {
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
        this.identify(progress.conversationId);
        this.publish();
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

  /** A stopped answer is as the server kept it; one that failed says why, below what had come. */
  private async breakOff(stopping: AbortController, failure: Failure | "cancelled"): Promise<void> {
    const asked = this.pending;
    let unread: Trouble | undefined;
    try {
      await this.read();
    } catch (error) {
      unread = troubleOf(this.backend.failure(error));
    }
    if (this.stopping !== stopping) return; // another conversation was opened meanwhile
    this.pending = null;
    if (isGone(failure)) this.forget();
    if (failure === "cancelled" || !asked) {
      if (unread) this.opening = { failure: unread };
      return;
    }
    const isStored = this.conversation?.messages.some(({ id }) => id === asked.messageId);
    const replaces = isStored ? asked.messageId : asked.replaces;
    this.pending = {
      ...asked,
      state: "failed",
      failure: troubleOf(failure),
      replaces: isGone(failure) ? undefined : replaces,
    };
  }

  private publish(): void {
    this.post({ type: "state", state: this.snapshot() });
  }
}

function isGone(failure: Failure | "cancelled"): boolean {
  return failure !== "cancelled" && failure.code === "conversation_not_found";
}

function troubleOf(failure: Failure | "cancelled"): Trouble {
  if (failure === "cancelled") return { code: "cancelled", message: "Stopped.", hint: null };
  return { code: failure.code, message: failure.message, hint: failure.hint };
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
