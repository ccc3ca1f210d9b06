/** The input of the chat: text, attachments, use of documents, model. */
import type { Attachment, FromView, Turn, ViewState } from "../chat/messages";
import { codicon, h, iconButton } from "./dom";

export interface ComposerActions {
  post(message: FromView): void;
  ask(question: string, replaces?: string): void;
  lastQuestion(): Turn | null;
  saveDraft(draft: Draft): void;
}

/** The typed text. `replaces`: id of the message that it will replace, in `conversation`. */
export interface Draft {
  draft: string;
  useRag: boolean;
  deep?: boolean;
  replaces?: string;
  conversation?: string | null;
}

const MANAGE = "\u0000manage";

export class Composer {
  readonly element: HTMLFormElement;
  private readonly text = h("textarea", {
    rows: "1",
    "aria-label": "Question",
    placeholder: "Ask about your documents…",
    input: () => this.onInput(),
    keydown: (event) => this.onKey(event as KeyboardEvent),
  });
  private readonly attachments = h("ul", { class: "attachments", "aria-label": "Attached" });
  private readonly rag = h(
    "button",
    { type: "button", class: "switch", role: "switch", click: () => this.setRag(!this.useRag) },
    codicon("library"),
    h("span", {}, "Documents"),
  );
  private readonly deepSwitch = h(
    "button",
    { type: "button", class: "switch", role: "switch", click: () => this.setDeep(!this.isDeep) },
    codicon("layers"),
    h("span", {}, "Deep"),
  );
  private readonly model = h("select", {
    "aria-label": "Model",
    title: "The model that answers",
    change: () => this.onModel(),
  });
  private readonly send = h("button", { type: "submit", class: "send" });
  private busy = false;
  private chosen = "";
  private useRag: boolean;
  private isDeep = false;
  private replaces: string | undefined;
  /** The conversation that was shown when editing began; the edit belongs to it. */
  private conversation: string | null;
  private shown: string | null = null;

  constructor(
    private readonly actions: ComposerActions,
    saved: Draft,
  ) {
    this.useRag = saved.useRag;
    this.replaces = saved.replaces;
    this.conversation = saved.conversation ?? null;
    this.element = h(
      "form",
      { class: "composer", submit: (event) => this.onSubmit(event) },
      this.attachments,
      this.text,
      h(
        "div",
        { class: "bar" },
        iconButton("add", "Attach a selection, file or folder…", () =>
          actions.post({ type: "attach" }),
        ),
        this.rag,
        this.deepSwitch,
        this.model,
        this.send,
      ),
    );
    this.text.value = saved.draft;
    this.setDeep(saved.deep ?? false);
    this.setRag(saved.useRag);
    this.showSend();
  }

  get documents(): boolean {
    return this.useRag;
  }

  get deep(): boolean {
    return this.isDeep && this.useRag;
  }

  update(state: ViewState): void {
    this.busy = state.pending !== null && state.pending.state !== "failed";
    this.showSend();
    this.showModels(state);
    this.shown = state.conversation;
    if (this.replaces !== undefined && isMessageGone(this.replaces, this.conversation, state)) {
      this.stopEditing();
    }
    this.attachments.replaceChildren(
      ...(this.replaces === undefined ? [] : [this.editing()]),
      ...state.attachments.map((a, i) => this.attachment(a, i)),
    );
    this.attachments.hidden = this.attachments.children.length === 0;
  }

  /** Edits an earlier question, which the new one will replace. */
  edit(question: Turn): void {
    this.replaces = question.id;
    this.conversation = this.shown;
    this.compose(question.text);
    this.attachments.prepend(this.editing());
    this.attachments.hidden = false;
  }

  /** Sets the text (null keeps it) and puts the cursor at its end. */
  compose(text: string | null): void {
    if (text !== null) this.text.value = text;
    this.text.focus();
    this.text.setSelectionRange(this.text.value.length, this.text.value.length);
    this.onInput();
  }

  grow(): void {
    this.text.style.height = "auto";
    this.text.style.height = `${this.text.scrollHeight + 2}px`;
  }

  private save(): void {
    const { useRag, isDeep: deep, replaces, conversation } = this;
    this.actions.saveDraft({ draft: this.text.value, useRag, deep, replaces, conversation });
  }

  private editing(): HTMLElement {
    return h(
      "li",
      { class: "editing", title: "This question and everything after it will be replaced" },
      codicon("edit"),
      h("span", {}, "Editing an earlier question"),
      iconButton("close", "Ask a new question instead", () => this.stopEditing()),
    );
  }

  private stopEditing(): void {
    this.replaces = undefined;
    this.attachments.querySelector(".editing")?.remove();
    this.attachments.hidden = this.attachments.children.length === 0;
    this.onInput();
  }

  private attachment(attachment: Attachment, index: number): HTMLElement {
    const icon = attachment.kind === "selection" ? "selection" : "filter";
    const label = attachment.kind === "selection" ? attachment.label : `Only ${attachment.label}`;
    return h(
      "li",
      { title: attachment.path },
      codicon(icon),
      h("span", {}, label),
      iconButton("close", `Remove ${label}`, () => this.actions.post({ type: "detach", index })),
    );
  }

  private showModels({ engine }: ViewState): void {
    const names = engine?.models ?? [];
    this.chosen = engine?.model ?? "";
    this.model.hidden = names.length === 0;
    const options = names.map((name) => h("option", { value: name }, name));
    this.model.replaceChildren(...options, h("option", { value: MANAGE }, "Manage models…"));
    this.model.value = this.chosen;
  }

  private showSend(): void {
    const label = this.busy ? "Stop (Escape)" : "Ask (Enter)";
    if (this.send.title === label) return;
    this.send.title = label;
    this.send.setAttribute("aria-label", this.busy ? "Stop" : "Ask");
    this.send.replaceChildren(codicon(this.busy ? "debug-stop" : "send"));
  }

  private setRag(on: boolean): void {
    this.useRag = on;
    this.rag.setAttribute("aria-checked", String(on));
    this.rag.title = on
      ? "Answers come from your documents. Click to chat without them."
      : "Documents are not used. Click to answer from them.";
    this.deepSwitch.hidden = !on;
    this.text.placeholder = on ? "Ask about your documents…" : "Chat without documents…";
    this.save();
  }

  private setDeep(on: boolean): void {
    this.isDeep = on;
    this.deepSwitch.setAttribute("aria-checked", String(on));
    this.deepSwitch.title = on
      ? "Each part of a question is searched and answered; this takes longer."
      : "One search for each question. Click to search for each of its parts.";
    this.save();
  }

  private onModel(): void {
    const name = this.model.value;
    if (name === MANAGE) {
      this.model.value = this.chosen;
      this.actions.post({ type: "action", action: "models" });
    } else this.actions.post({ type: "model", name });
  }

  private onInput(): void {
    this.grow();
    this.save();
  }

  private onSubmit(event: Event): void {
    event.preventDefault();
    if (this.busy) {
      this.actions.post({ type: "stop" });
      return;
    }
    const question = this.text.value.trim();
    if (!question) return;
    const { replaces } = this;
    this.text.value = "";
    this.stopEditing();
    this.actions.ask(question, replaces);
  }

  private onKey(event: KeyboardEvent): void {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      if (!this.busy) this.element.requestSubmit();
    } else if (event.key === "ArrowUp" && this.text.value === "") {
      const last = this.actions.lastQuestion();
      if (last === null) return;
      event.preventDefault();
      this.edit(last);
    } else if (event.key === "Escape" && this.replaces !== undefined) {
      this.text.value = "";
      this.stopEditing();
    }
  }
}

/** Whether a message is no longer in the conversation; false while it is loading. */
function isMessageGone(message: string, conversation: string | null, state: ViewState): boolean {
  if (state.connection.state !== "ready") return false;
  if (state.conversation !== conversation) return true;
  return !state.opening && !state.turns.some((turn) => turn.id === message);
}
