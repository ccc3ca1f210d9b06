/** Where questions are written: the text, what is attached, whether documents are used, the model. */
import type { Attachment, FromView, ViewState } from "../chat/messages";
import { codicon, h, iconButton } from "./dom";

export interface ComposerActions {
  post(message: FromView): void;
  ask(question: string): void;
  lastQuestion(): string | null;
  drafted(draft: string, useRag: boolean): void;
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
  private readonly model = h("select", {
    "aria-label": "Model",
    title: "The model that answers",
    change: () => this.onModel(),
  });
  private readonly send = h("button", { type: "submit", class: "send" });
  private busy = false;
  private chosen = "";

  constructor(
    private readonly actions: ComposerActions,
    draft: string,
    private useRag: boolean,
  ) {
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
        this.model,
        this.send,
      ),
    );
    this.text.value = draft;
    this.setRag(useRag);
    this.showSend();
  }

  get documents(): boolean {
    return this.useRag;
  }

  update(state: ViewState): void {
    this.busy = state.pending !== null && state.pending.state !== "failed";
    this.showSend();
    this.showModels(state);
    this.attachments.replaceChildren(...state.attachments.map((a, i) => this.attachment(a, i)));
    this.attachments.hidden = state.attachments.length === 0;
  }

  /** Puts a text into the field, or leaves what is there, and the cursor behind it. */
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
    this.text.placeholder = on ? "Ask about your documents…" : "Chat without documents…";
    this.actions.drafted(this.text.value, on);
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
    this.actions.drafted(this.text.value, this.useRag);
  }

  private onSubmit(event: Event): void {
    event.preventDefault();
    if (this.busy) {
      this.actions.post({ type: "stop" });
      return;
    }
    const question = this.text.value.trim();
    if (!question) return;
    this.text.value = "";
    this.onInput();
    this.actions.ask(question);
  }

  private onKey(event: KeyboardEvent): void {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      if (!this.busy) this.element.requestSubmit();
    } else if (event.key === "ArrowUp" && this.text.value === "") {
      const last = this.actions.lastQuestion();
      if (last === null) return;
      event.preventDefault();
      this.compose(last);
    }
  }
}
