/** The passage of a citation, shown while the pointer or the focus is on its number. */
import type { Source } from "../chat/messages";
import { codicon, h } from "./dom";

const LONGEST = 700;
const GAP = 4;

export class PassageCard {
  readonly element = h("div", { class: "card", role: "tooltip", id: "passage", hidden: true });
  private target: HTMLElement | undefined;
  private closing: ReturnType<typeof setTimeout> | undefined;

  /** Follows the citations in an element; `find` returns the source of one. */
  constructor(within: HTMLElement, find: (citation: HTMLElement) => Source | undefined) {
    const show = ({ target }: Event) => {
      const citation = (target as Element).closest<HTMLElement>("button.cite");
      const source = citation && find(citation);
      if (citation && source) this.show(citation, source);
      else this.closeSoon();
    };
    within.addEventListener("pointerover", show);
    within.addEventListener("focusin", show);
    within.addEventListener("pointerleave", () => this.closeSoon());
    within.addEventListener("focusout", () => this.closeSoon());
    within.addEventListener("scroll", () => this.close());
    // The pointer may move onto the card, to read and copy there.
    this.element.addEventListener("pointerenter", () => clearTimeout(this.closing));
    this.element.addEventListener("pointerleave", () => this.closeSoon());
  }

  get isOpen(): boolean {
    return !this.element.hidden;
  }

  close(): void {
    clearTimeout(this.closing);
    this.target?.removeAttribute("aria-describedby");
    this.target = undefined;
    this.element.hidden = true;
  }

  private closeSoon(): void {
    clearTimeout(this.closing);
    if (this.isOpen) this.closing = setTimeout(() => this.close(), 150);
  }

  private show(citation: HTMLElement, source: Source): void {
    clearTimeout(this.closing);
    if (this.target === citation) return;
    this.close();
    this.target = citation;
    this.element.replaceChildren(...contentOf(source));
    this.element.hidden = false;
    citation.setAttribute("aria-describedby", this.element.id);
    this.place(citation.getBoundingClientRect());
  }

  /** Above the citation, or below it where there is more room. */
  private place(at: DOMRect): void {
    const { style, offsetWidth, offsetHeight } = this.element;
    const left = Math.min(at.left, innerWidth - offsetWidth - GAP);
    const above = at.top - offsetHeight - GAP;
    const below = Math.min(at.bottom + GAP, innerHeight - offsetHeight - GAP);
    style.left = `${Math.max(GAP, left)}px`;
    style.top = `${above >= GAP ? above : Math.max(GAP, below)}px`;
  }
}

function contentOf({ label, location, heading, text, stale }: Source): HTMLElement[] {
  const shown = text.trim();
  const quote = shown.length > LONGEST ? `${shown.slice(0, LONGEST)}…` : shown;
  const lines = [
    h("p", { class: "where" }, h("strong", {}, label), ` ${location}`),
    heading !== "" && h("p", { class: "heading" }, heading),
    stale &&
      h("p", { class: "heading" }, codicon("history"), " The file changed since it was indexed"),
    h("p", { class: "text" }, quote),
  ];
  return lines.filter((line) => line !== false);
}
