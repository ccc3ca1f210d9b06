/** The source that was opened: the lines of a document around a passage, beside the page. */
import { basename } from "../chat/messages";
import { Latest } from "../latest";
import type { Excerpt } from "../protocol";
import { codicon, h, iconButton, withCode } from "../view/dom";
import { type Server, sentence } from "./http";

export interface Location {
  path: string;
  /** The passage's lines; null shows the document from its beginning. */
  startLine: number | null;
  endLine: number | null;
  page: number | null;
  heading: string;
  /** The passage, shown if the document can no longer be read. */
  text: string;
  stale?: boolean;
}

const CONTEXT = 30;
const MORE = 200;

export class Reader {
  readonly element = h("aside", { class: "reader", "aria-label": "Source", tabindex: "-1" });
  private readonly lines = h("ol", { class: "lines" });
  private readonly opening = new Latest();
  private returnTo: Element | null = null;

  constructor(private readonly server: Server) {
    this.element.hidden = true;
    this.element.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      event.stopPropagation();
      this.close();
    });
  }

  /** Shows a passage in its document. `focus`: move there, so that Escape returns. */
  async open(at: Location, { focus = true } = {}): Promise<void> {
    const isLatest = this.opening.begin();
    if (this.element.hidden) this.returnTo = document.activeElement;
    const first = Math.max(1, (at.startLine ?? 1) - CONTEXT);
    const last = at.endLine === null ? MORE : at.endLine + CONTEXT;
    const content = await this.read(at.path, first, last).catch((error) => error);
    if (!isLatest()) return;
    this.element.hidden = false;
    if (content instanceof Error) this.showCopy(at, sentence(content));
    else this.show(at, content);
    const mark = this.element.querySelector(".mark");
    mark?.scrollIntoView({ block: "center" });
    if (focus) this.element.focus({ preventScroll: true });
  }

  close(): void {
    this.opening.begin();
    if (this.element.hidden) return;
    this.element.hidden = true;
    if (this.returnTo instanceof HTMLElement) this.returnTo.focus();
  }

  private read(path: string, startLine: number, endLine: number): Promise<Excerpt> {
    return this.server.call("read", { source: path, startLine, endLine });
  }

  private show(at: Location, excerpt: Excerpt): void {
    const isExtracted = excerpt.source === "index";
    this.lines.className = isExtracted ? "lines prose" : "lines";
    this.lines.replaceChildren(...this.rows(at, excerpt));
    const top = h("div", { class: "more" });
    const bottom = h("div", { class: "more" });
    this.offerMore(at, excerpt, top, bottom);
    this.element.replaceChildren(
      this.head(at, isExtracted ? "text of the document" : "", excerpt.notice),
      h("div", { class: "text", tabindex: "0", "aria-label": "Text" }, top, this.lines, bottom),
    );
  }

  /** Shows the stored copy of the passage. */
  private showCopy(at: Location, reason: string): void {
    const copy = [
      h("p", { class: "soft" }, "The passage, as it was when it was cited:"),
      h("div", { class: "text" }, h("p", { class: "copy mark" }, at.text)),
    ];
    this.element.replaceChildren(
      this.head(at, ""),
      h("p", { class: "warning" }, codicon("warning"), ...withCode(` ${reason}`)),
      ...(at.text === "" ? [] : copy),
    );
  }

  private head(at: Location, note: string, notice: string | null = null): HTMLElement {
    const lines =
      at.startLine === null
        ? ""
        : at.startLine === at.endLine
          ? `Line ${at.startLine}`
          : `Lines ${at.startLine}–${at.endLine}`;
    const place = at.page === null ? lines : `Page ${at.page}`;
    return h(
      "header",
      {},
      h("h2", { title: at.path }, basename(at.path)),
      iconButton("close", "Close the source (Escape)", () => this.close()),
      h("p", { class: "soft" }, [place, at.heading, note].filter(Boolean).join(" · ")),
      h("p", { class: "soft path" }, at.path),
      at.stale === true &&
        h("p", { class: "soft" }, codicon("history"), " The file changed since it was indexed."),
      notice !== null && h("p", { class: "soft" }, codicon("warning"), ...withCode(` ${notice}`)),
    );
  }

  private rows({ startLine, endLine }: Location, excerpt: Excerpt): HTMLElement[] {
    return excerpt.text.split("\n").map((text, index) => {
      const number = excerpt.startLine + index;
      const isMarked =
        startLine !== null && endLine !== null && number >= startLine && number <= endLine;
      return h("li", { class: isMarked ? "mark" : "", value: String(number) }, text);
    });
  }

  private offerMore(at: Location, excerpt: Excerpt, top: HTMLElement, bottom: HTMLElement): void {
    let { startLine, endLine } = excerpt;
    const isLatest = this.opening.begin();
    const button = (label: string, load: () => Promise<void>) =>
      h("button", { type: "button", class: "link", click: () => void load() }, label);
    const load = async (first: number, last: number) => {
      const found = await this.read(at.path, first, last).catch((error) => error);
      if (!isLatest() || found instanceof Error) return null;
      return found as Excerpt;
    };
    const update = () => {
      top.replaceChildren(...(startLine > 1 ? [button("Show earlier lines", earlier)] : []));
      const left = excerpt.totalLines - endLine;
      bottom.replaceChildren(...(left > 0 ? [button("Show later lines", later)] : []));
    };
    const earlier = async () => {
      const found = await load(Math.max(1, startLine - MORE), startLine - 1);
      if (found === null) return;
      startLine = found.startLine;
      this.lines.prepend(...this.rows(at, found));
      update();
    };
    const later = async () => {
      const found = await load(endLine + 1, endLine + MORE);
      if (found === null) return;
      endLine = found.endLine;
      this.lines.append(...this.rows(at, found));
      update();
    };
    update();
  }
}
