/** The side bar: the page's parts, and the conversations. */
import { ago } from "../chat/ago";
import { Latest } from "../latest";
import type { Conversation } from "../protocol";
import { codicon, h } from "../view/dom";
import type { Server } from "./http";

const PAGE = 50;
const PAUSE_MS = 250;

const PARTS = [
  ["#/", "add", "New chat"],
  ["#/search", "search", "Search"],
  ["#/documents", "library", "Documents"],
  ["#/settings", "settings-gear", "Settings"],
] as const;

export class Sidebar {
  readonly element = h("nav", { class: "sidebar", "aria-label": "Allma" });
  private readonly filter = h("input", {
    type: "search",
    placeholder: "Find a conversation",
    "aria-label": "Find a conversation",
    autocomplete: "off",
    hidden: true,
    input: () => this.later(),
  });
  private readonly list = h("ul", { class: "conversations", "aria-label": "Conversations" });
  private readonly links = PARTS.map(([address, icon, label]) =>
    h("a", { href: address, class: "part" }, codicon(icon), h("span", {}, label)),
  );
  private readonly loads = new Latest();
  private timer: ReturnType<typeof setTimeout> | undefined;
  private limit = PAGE;
  private shown: { address: string; conversation: string | undefined } | undefined;

  constructor(private readonly server: Server) {
    this.element.append(
      h("p", { class: "brand" }, codicon("library"), " Allma"),
      h("ul", { class: "parts" }, ...this.links.map((link) => h("li", {}, link))),
      this.filter,
      this.list,
    );
  }

  /** Marks the part and the conversation that are shown. */
  mark(address: string, conversation: string | undefined): void {
    this.shown = { address, conversation };
    for (const link of this.links) {
      setCurrent(link, link.getAttribute("href") === address && conversation === undefined);
    }
    for (const link of this.list.querySelectorAll("a")) {
      setCurrent(link, link.dataset.id === conversation);
    }
  }

  /** Requests the conversations; an unreachable server leaves the present ones. */
  async refresh(): Promise<void> {
    const isLatest = this.loads.begin();
    const query = this.filter.value.trim() || undefined;
    const params = { query, limit: this.limit };
    const page = await this.server.call("conversations.list", params).catch(() => null);
    if (page === null || !isLatest()) return;
    const rows = page.conversations.map((each) => this.row(each));
    this.filter.hidden = query === undefined && page.total < 8;
    if (!rows.length && query) rows.push(h("li", { class: "soft" }, "None contains these words."));
    if (page.nextCursor !== null) rows.push(this.more());
    this.list.replaceChildren(...rows);
    if (this.shown) this.mark(this.shown.address, this.shown.conversation);
  }

  private row({ id, title, updatedAt }: Conversation): HTMLLIElement {
    return h(
      "li",
      {},
      h(
        "a",
        { href: `#/chat/${encodeURIComponent(id)}`, "data-id": id, title },
        h("span", { class: "title" }, title),
        h("span", { class: "soft" }, ago(updatedAt)),
      ),
    );
  }

  private more(): HTMLLIElement {
    const click = () => {
      this.limit += PAGE;
      void this.refresh();
    };
    return h("li", {}, h("button", { type: "button", class: "link", click }, "Show older"));
  }

  private later(): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => void this.refresh(), PAUSE_MS);
  }
}

function setCurrent(link: Element, isCurrent: boolean): void {
  if (isCurrent) link.setAttribute("aria-current", "page");
  else link.removeAttribute("aria-current");
}
