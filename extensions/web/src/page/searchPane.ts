/** Search: passages as the query is typed; the selected one is shown in its document. */
import { basename, locationLabel } from "../chat/messages";
import { searchRemark } from "../chat/steps";
import { Latest } from "../latest";
import type { Passage, SearchResult } from "../protocol";
import { codicon, h, withCode } from "../view/dom";
import { marked } from "./highlighting";
import { failureOf, type Server, sentence } from "./http";
import type { Monitor } from "./monitor";
import { preferences } from "./preferences";
import type { Location } from "./reader";

const PAUSE_MS = 200;
const PASSAGES = 12;

export class SearchPane {
  readonly element = h("section", { class: "pane", "aria-label": "Search" });
  private readonly query = h("input", {
    type: "search",
    placeholder: "Words, a question or a symbol",
    "aria-label": "Search",
    autocomplete: "off",
    input: () => this.later(),
    keydown: (event) => this.onKey(event as KeyboardEvent),
  });
  private readonly workspace = h("select", { "aria-label": "Folder", change: () => this.now() });
  private readonly path = h("input", {
    type: "text",
    class: "glob",
    placeholder: "*.md, src/**",
    "aria-label": "Only files that match",
    autocomplete: "off",
    input: () => this.later(),
  });
  private readonly remark = h("p", { class: "soft remark", role: "status" });
  private readonly results = h("ol", { class: "results", "aria-label": "Passages" });
  private readonly searches = new Latest();
  private timer: ReturnType<typeof setTimeout> | undefined;
  private running: AbortController | undefined;
  private searched = "";

  constructor(
    private readonly server: Server,
    private readonly monitor: Monitor,
    private readonly openSource: (at: Location, options?: { focus: boolean }) => void,
    private readonly onQuery: (query: string) => void,
  ) {
    const form = h(
      "form",
      {
        class: "search-form",
        role: "search",
        submit: (event) => {
          event.preventDefault();
          this.now();
        },
      },
      this.query,
      this.workspace,
      this.path,
    );
    const body = h("div", { class: "pane-body" }, form, this.remark, this.results);
    this.element.append(h("header", {}, h("h1", {}, "Search")), body);
    moveByArrows(this.results, () => this.query.focus());
    monitor.onChange(() => this.showWorkspaces());
  }

  open(query: string | undefined): void {
    this.showWorkspaces();
    if (query !== undefined && query !== this.query.value) this.query.value = query;
    this.query.focus();
    this.now();
  }

  private showWorkspaces(): void {
    const paths = (this.monitor.status?.workspaces ?? []).map(({ path }) => path);
    const key = paths.join("\n");
    if (this.workspace.dataset.key === key) return;
    this.workspace.dataset.key = key;
    const selected = this.workspace.value;
    const options = paths.map((path) => h("option", { value: path, title: path }, basename(path)));
    this.workspace.replaceChildren(h("option", { value: "" }, "All folders"), ...options);
    this.workspace.value = paths.includes(selected) ? selected : "";
    this.workspace.hidden = paths.length < 2;
  }

  private later(): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.now(), PAUSE_MS);
  }

  private now(): void {
    clearTimeout(this.timer);
    const query = this.query.value.trim();
    const key = JSON.stringify([query, this.workspace.value, this.path.value.trim()]);
    if (key === this.searched) return;
    this.searched = key;
    void this.search(query);
  }

  private async search(query: string): Promise<void> {
    const isLatest = this.searches.begin();
    this.running?.abort();
    this.onQuery(query);
    if (query === "") return this.show("", null);
    this.running = new AbortController();
    this.results.setAttribute("aria-busy", "true");
    try {
      const params = {
        query,
        topK: preferences.topK ?? PASSAGES,
        workspace: this.workspace.value || undefined,
        path: this.path.value.trim() || undefined,
      };
      const found = await this.server.call("search", params, this.running.signal);
      if (isLatest()) this.show(query, found);
    } catch (error) {
      if (!isLatest() || failureOf(error) === "cancelled") return;
      this.searched = "";
      this.results.replaceChildren();
      this.remark.replaceChildren(...withCode(sentence(error)));
    } finally {
      if (isLatest()) this.results.removeAttribute("aria-busy");
    }
  }

  private show(query: string, found: SearchResult | null): void {
    const passages = found?.passages ?? [];
    const count = passages.length === 1 ? "1 passage" : `${passages.length} passages`;
    const took = found === null ? "" : `${count} in ${found.retrievalMs} ms.`;
    const remark = found && searchRemark(found)?.text;
    const texts = [passages.length ? took : "", remark];
    this.remark.replaceChildren(...withCode(texts.filter(Boolean).join(" ")));
    this.results.replaceChildren(...passages.map((passage) => this.row(query, passage)));
  }

  private row(query: string, passage: Passage): HTMLElement {
    const open = (focus: boolean) => this.openSource(locationOf(passage), { focus });
    const button = h(
      "button",
      { type: "button", class: "result", click: () => open(true), focus: () => this.preview(open) },
      h(
        "span",
        { class: "where" },
        h("span", { class: "file", title: passage.path }, basename(passage.path)),
        h("span", { class: "location" }, locationLabel(passage)),
        h("span", { class: "heading" }, passage.heading.join(" › ")),
        passage.stale && codicon("history"),
        passage.unsaved && h("span", { class: "heading" }, "unsaved"),
      ),
      h("span", { class: "snippet" }, ...marked(passage.text.trim(), query)),
    );
    return h("li", {}, button);
  }

  /** Shows the focused passage beside the list, where there is room for both. */
  private preview(open: (focus: boolean) => void): void {
    if (matchMedia("(min-width: 1100px)").matches) open(false);
  }

  private onKey(event: KeyboardEvent): void {
    if (event.key !== "ArrowDown") return;
    event.preventDefault();
    this.results.querySelector("button")?.focus();
  }
}

/** Moves between the results with the arrow keys. */
function moveByArrows(list: HTMLElement, onTop: () => void): void {
  list.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step === undefined) return;
    const buttons = [...list.querySelectorAll("button")];
    const at = buttons.indexOf(document.activeElement as HTMLButtonElement) + step;
    event.preventDefault();
    if (at < 0) onTop();
    else buttons[at]?.focus();
  });
}

function locationOf(passage: Passage): Location {
  const { path, startLine, endLine, page, heading, text, stale } = passage;
  return { path, startLine, endLine, page, heading: heading.join(" › "), text, stale };
}
