/** The list of suggestions above the input: a combobox that the keyboard controls. */
import { codicon, h } from "./dom";

export interface Suggestion {
  icon: string;
  label: string;
  detail: string;
  accept(): void;
}

let lists = 0;

export class Suggestions {
  readonly list = h("ul", { class: "suggestions", role: "listbox", "aria-label": "Suggestions" });
  readonly announcer = h("div", { class: "unseen", role: "status" });
  private items: readonly Suggestion[] = [];
  private active = 0;

  constructor(private readonly input: HTMLTextAreaElement) {
    lists += 1;
    this.list.id = `suggestions-${lists}`;
    this.list.hidden = true;
    // A click must not take the focus from the input.
    this.list.addEventListener("mousedown", (event) => event.preventDefault());
  }

  get isOpen(): boolean {
    return !this.list.hidden && this.items.length > 0;
  }

  /** Shows suggestions; without any, the sentence `none` instead, if it is given. */
  show(items: readonly Suggestion[], none = ""): void {
    if (!items.length && none === "") {
      this.hide();
      return;
    }
    this.items = items;
    this.active = 0;
    const rows = items.map((item, index) => this.row(item, index));
    this.list.replaceChildren(...rows, ...(rows.length ? [] : [h("li", { class: "none" }, none)]));
    this.list.hidden = false;
    const { input, list } = this;
    input.setAttribute("role", "combobox");
    input.setAttribute("aria-autocomplete", "list");
    input.setAttribute("aria-haspopup", "listbox");
    input.setAttribute("aria-controls", list.id);
    input.setAttribute("aria-expanded", String(items.length > 0));
    const count = items.length === 1 ? "1 suggestion" : `${items.length} suggestions`;
    this.announcer.textContent = items.length ? count : none;
    this.mark();
  }

  hide(): void {
    if (this.list.hidden) return;
    this.items = [];
    this.list.hidden = true;
    this.list.replaceChildren();
    this.announcer.textContent = "";
    const names = ["autocomplete", "haspopup", "controls", "expanded", "activedescendant"];
    for (const name of names) this.input.removeAttribute(`aria-${name}`);
    this.input.removeAttribute("role");
  }

  /** Handles a key; returns whether it was one of the list's. */
  onKey(event: KeyboardEvent): boolean {
    if (this.list.hidden || event.isComposing) return false;
    if (event.key === "Escape") this.hide();
    else if (!this.isOpen) return false;
    else if (event.key === "ArrowDown") this.move(1);
    else if (event.key === "ArrowUp") this.move(-1);
    else if ((event.key === "Enter" && !event.shiftKey) || event.key === "Tab") {
      this.items[this.active]?.accept();
    } else return false;
    event.preventDefault();
    // Escape would also stop the answer.
    event.stopPropagation();
    return true;
  }

  private row({ icon, label, detail, accept }: Suggestion, index: number): HTMLElement {
    return h(
      "li",
      { role: "option", id: `${this.list.id}-${index}`, title: detail, click: accept },
      codicon(icon),
      h("span", { class: "name" }, label),
      h("span", { class: "detail" }, detail),
    );
  }

  private move(step: number): void {
    const count = this.items.length;
    this.active = (this.active + step + count) % count;
    this.mark();
  }

  private mark(): void {
    const rows = [...this.list.querySelectorAll("[role=option]")];
    rows.forEach((row, index) => {
      row.setAttribute("aria-selected", String(index === this.active));
    });
    const active = rows[this.active];
    this.input.setAttribute("aria-activedescendant", active?.id ?? "");
    active?.scrollIntoView({ block: "nearest" });
  }
}
