/** The input of the chat: text, attachments, use of documents, model. */
import type { Attachment, FromView, ToView, Turn, ViewState } from "../chat/messages";
import type { Action } from "../chat/steps";
import { Completion } from "./completion";
import { codicon, h, iconButton } from "./dom";
import { isLong, pastedLabel, textOf, transferred } from "./transfer";

export interface ComposerActions {
  post(message: FromView): void;
  offers(action: Action): boolean;
  ask(question: string, replaces?: string): void;
  /** The questions of the conversation, the latest first. */
  questions(): readonly string[];
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

const PLACEHOLDER = "Ask… @ for a file, / for a command";
const MANAGE = "\u0000manage";

export class Composer {
  readonly element: HTMLFormElement;
  private readonly text = h("textarea", {
    rows: "1",
    "aria-label": "Question",
    placeholder: PLACEHOLDER,
    input: () => this.onInput(),
    keydown: (event) => this.onKey(event as KeyboardEvent),
    paste: (event) => this.onPaste(event as ClipboardEvent),
  });
  private readonly completion = new Completion(this.text, {
    post: (message) => this.actions.post(message),
    offers: (action) => this.actions.offers(action),
    models: () => this.models,
    toggle: (what) => (what === "deep" ? this.toggleDeep() : this.setRag(!this.useRag)),
    useDocuments: () => this.setRag(true),
    changed: () => this.onInput(),
  });
  /** Why something could not be attached. */
  private readonly refusal = h("p", { class: "refusal", role: "alert", hidden: true });
  private readonly attachments = h("ul", { class: "attachments", "aria-label": "Attached" });
  private readonly rag = h(
    "button",
    {
      type: "button",
      class: "switch",
      role: "switch",
      "aria-label": "Documents",
      click: () => this.setRag(!this.useRag),
    },
    codicon("library"),
    h("span", {}, "Documents"),
  );
  private readonly deepSwitch = h(
    "button",
    {
      type: "button",
      class: "switch",
      role: "switch",
      "aria-label": "Deep",
      click: () => this.setDeep(!this.isDeep),
    },
    codicon("layers"),
    h("span", {}, "Deep"),
  );
  private readonly model = h("select", {
    "aria-label": "Model",
    title: "The model that answers",
    change: () => this.onModel(),
  });
  private readonly send = h("button", { type: "submit", class: "send" });
  private models: readonly string[] = [];
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
      {
        class: "composer",
        submit: (event) => this.onSubmit(event),
      },
      this.completion.suggestions.list,
      this.completion.suggestions.announcer,
      this.attachments,
      this.refusal,
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

  suggest({ number, mentions }: Extract<ToView, { type: "suggestions" }>): void {
    this.completion.receive(number, mentions);
  }

  /** Attaches files that are dropped on an element, such as the whole chat. */
  dropsOn(element: HTMLElement): void {
    element.addEventListener("dragover", (event) => this.onDrag(event));
    element.addEventListener("dragleave", () => this.element.classList.remove("dropping"));
    element.addEventListener("drop", (event) => this.onDrop(event));
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
    const icon = { selection: "selection", text: "note", scope: "filter" }[attachment.kind];
    const label = attachment.kind === "scope" ? `Only ${attachment.label}` : attachment.label;
    return h(
      "li",
      { title: attachment.kind === "text" ? attachment.text.slice(0, 1_000) : attachment.path },
      codicon(icon),
      h("span", {}, label),
      iconButton("close", `Remove ${label}`, () => this.actions.post({ type: "detach", index })),
    );
  }

  private showModels({ engine }: ViewState): void {
    const names = engine?.models ?? [];
    this.models = names;
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
    this.text.placeholder = on ? PLACEHOLDER : "Chat without documents…";
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

  /** Also turns documents on: without them there is nothing to search. */
  private toggleDeep(): void {
    const on = !this.deep;
    if (on) this.setRag(true);
    this.setDeep(on);
  }

  private onInput(): void {
    this.refusal.hidden = true;
    this.completion.update();
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
    if (this.completion.onKey(event)) return;
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      if (!this.busy) this.element.requestSubmit();
    } else if (event.key === "ArrowUp" || event.key === "ArrowDown") {
      if (this.recall(event.key === "ArrowUp" ? 1 : -1)) event.preventDefault();
    } else if (event.key === "Escape" && this.replaces !== undefined) {
      this.text.value = "";
      this.stopEditing();
    }
  }

  /** Replaces an empty input, or a recalled question, by an older or newer one. */
  private recall(step: number): boolean {
    const questions = this.actions.questions();
    const { value, selectionEnd } = this.text;
    const shown = value === "" ? -1 : questions.indexOf(value);
    const isElsewhere = selectionEnd !== value.length || (step > 0 && value.includes("\n"));
    if ((value !== "" && shown < 0) || isElsewhere) return false;
    const next = shown + step;
    if (next < -1 || next >= questions.length) return false;
    this.compose(questions[next] ?? "");
    return true;
  }

  private onPaste(event: ClipboardEvent): void {
    const text = event.clipboardData?.getData("text/plain") ?? "";
    if (this.take(event.clipboardData)) event.preventDefault();
    else if (isLong(text)) {
      event.preventDefault();
      this.actions.post({ type: "attachText", label: pastedLabel(text), text });
    }
  }

  private onDrag(event: DragEvent): void {
    const types = event.dataTransfer?.types ?? [];
    if (!types.includes("Files") && !types.some((type) => type.endsWith("uri-list"))) return;
    event.preventDefault();
    this.element.classList.add("dropping");
  }

  private onDrop(event: DragEvent): void {
    this.element.classList.remove("dropping");
    if (this.take(event.dataTransfer)) event.preventDefault();
  }

  /** Attaches the files that were dropped or pasted; returns whether there are any. */
  private take(data: DataTransfer | null): boolean {
    const { uris, files } = transferred(data);
    if (uris.length) this.actions.post({ type: "drop", uris });
    for (const file of files) void this.attachFile(file);
    if (uris.length) this.setRag(true);
    return uris.length + files.length > 0;
  }

  private async attachFile(file: File): Promise<void> {
    try {
      this.actions.post({ type: "attachText", label: file.name, text: await textOf(file) });
    } catch (error) {
      this.refusal.textContent = error instanceof Error ? error.message : String(error);
      this.refusal.hidden = false;
    }
  }
}

/** Whether a message is no longer in the conversation; false while it is loading. */
function isMessageGone(message: string, conversation: string | null, state: ViewState): boolean {
  if (state.connection.state !== "ready") return false;
  if (state.conversation !== conversation) return true;
  return !state.opening && !state.turns.some((turn) => turn.id === message);
}
