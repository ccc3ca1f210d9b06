/** The page in the browser: chat, search, documents and settings of one server. */
import "icons.css";
import "./theme.css";
import "../view/chat.css";
import "./page.css";
import { h, iconButton } from "../view/dom";
import { ChatPane } from "./chatPane";
import { toast } from "./dialogs";
import { DocumentsPane } from "./documentsPane";
import { Server, sentence } from "./http";
import { Monitor } from "./monitor";
import { applyTheme, preferences } from "./preferences";
import { type Location, Reader } from "./reader";
import { SearchPane } from "./searchPane";
import { SettingsPane } from "./settingsPane";
import { Sidebar } from "./sidebar";
import { SignIn } from "./signIn";

const NARROW = matchMedia("(max-width: 760px)");

class Page {
  private readonly server = new Server();
  private readonly monitor = new Monitor(this.server);
  private readonly signIn = new SignIn(this.server, () => void this.begin());
  private readonly sidebar = new Sidebar(this.server);
  private readonly reader = new Reader(this.server);
  private readonly chat = new ChatPane(this.server, this.monitor, {
    openSource: (at) => this.openSource(at),
    onConversation: (id) => this.onConversation(id),
    go: (address) => this.go(address),
  });
  private readonly search = new SearchPane(
    this.server,
    this.monitor,
    (at, options) => this.openSource(at, options),
    (query) => replaceAddress(`#/search/${encodeURIComponent(query)}`),
  );
  private readonly documents = new DocumentsPane(this.server, this.monitor, {
    openSource: (at) => this.openSource(at),
    askAbout: (path) => this.askAbout(path),
  });
  private readonly settings = new SettingsPane(
    this.server,
    this.monitor,
    () => void this.signOut(),
  );
  private readonly panes = [this.chat, this.search, this.documents, this.settings];
  private readonly main = h("main", { id: "main" });
  private readonly menu = iconButton("menu", "Menu", () => this.showMenu(!this.isMenuShown));
  private wasSignedIn = false;

  constructor(element: HTMLElement) {
    this.menu.classList.add("menu");
    this.main.append(...this.panes.map((pane) => pane.element));
    const backdrop = h("div", { class: "backdrop", click: () => this.showMenu(false) });
    element.append(
      h(
        "a",
        { class: "skip", href: "#main", click: (event) => this.skip(event) },
        "Skip to the content",
      ),
      this.menu,
      this.sidebar.element,
      backdrop,
      this.main,
      this.reader.element,
    );
    this.server.onUnauthorized = () => this.onUnauthorized();
    addEventListener("hashchange", () => this.onAddress());
    addEventListener("keydown", (event) => this.onKey(event));
    NARROW.addEventListener("change", () => this.showMenu(false));
    this.showMenu(false);
  }

  /** Signs in with the code in the address if there is one, then loads everything. */
  async start(): Promise<void> {
    await this.signIn.withCode();
    this.route();
    await this.begin();
  }

  private async begin(): Promise<void> {
    await this.monitor.signedIn();
    if (!this.monitor.me) return;
    this.wasSignedIn = true;
    this.signIn.hide();
    // First, so that a question asked at once is not replaced.
    this.route();
    await this.sidebar.refresh();
  }

  private onUnauthorized(): void {
    this.monitor.signedOut();
    this.signIn.show({ expired: this.wasSignedIn });
  }

  private async signOut(): Promise<void> {
    try {
      await this.server.signOut();
    } catch (error) {
      return toast(sentence(error));
    }
    preferences.signedOut();
    location.replace(location.pathname);
  }

  private onAddress(): void {
    this.showMenu(false);
    this.route();
  }

  /** Shows the part of the page that the address names. */
  private route(): void {
    if (location.hash.startsWith("#code=")) return void this.start();
    const [, part = "", rest] = /^#\/(\w*)(?:\/(.*))?$/.exec(location.hash) ?? [];
    const pane =
      { search: this.search, documents: this.documents, settings: this.settings }[part] ??
      this.chat;
    for (const each of this.panes) each.element.hidden = each !== pane;
    this.reader.close();
    const id = part === "chat" && rest ? decodeURIComponent(rest) : undefined;
    this.sidebar.mark(part === "chat" ? "" : `#/${part}`, id);
    if (!this.wasSignedIn) return;
    if (pane === this.chat) {
      void this.chat.open(id);
      if (!NARROW.matches) this.chat.compose(null);
    }
    if (pane === this.search) this.search.open(rest && decodeURIComponent(rest));
    else if (pane === this.documents) this.documents.open();
    else this.settings.open();
  }

  private go(address: string): void {
    if (location.hash === address) this.onAddress();
    else location.hash = address;
  }

  private onConversation(id: string | undefined): void {
    // The first call comes while the page is being made. A question may be asked before all is
    // loaded: its conversation is kept in the address then.
    queueMicrotask(() => {
      if (!this.wasSignedIn && id === undefined) return;
      // A link may have been followed that is not shown yet.
      const isChat = /^(#\/(chat\/.*)?)?$/.test(location.hash);
      if (!this.chat.element.hidden && isChat) {
        const address = id === undefined ? "#/" : `#/chat/${encodeURIComponent(id)}`;
        replaceAddress(address);
        this.sidebar.mark(id === undefined ? address : "", id);
      }
      void this.sidebar.refresh();
    });
  }

  private openSource(at: Location, options?: { focus: boolean }): void {
    void this.reader.open(at, options);
  }

  private askAbout(path: string): void {
    this.reader.close();
    this.go("#/");
    // The route must have selected the new conversation first: it has no attachments.
    setTimeout(() => this.chat.attach(path));
  }

  private get isMenuShown(): boolean {
    return document.body.classList.contains("with-menu");
  }

  /** Shows or hides the side bar where the page is narrow. */
  private showMenu(shown: boolean): void {
    document.body.classList.toggle("with-menu", shown);
    this.menu.setAttribute("aria-expanded", String(shown));
    this.sidebar.element.inert = NARROW.matches && !shown;
    this.main.inert = NARROW.matches && shown;
    if (shown) this.sidebar.element.querySelector("a")?.focus();
  }

  private skip(event: Event): void {
    event.preventDefault();
    const pane = this.main.querySelector(".pane:not([hidden])");
    const target =
      pane?.querySelector<HTMLElement>("textarea, input") ?? pane?.querySelector("button");
    target?.focus();
  }

  private onKey(event: KeyboardEvent): void {
    const isTyping = (event.target as Element).closest("input, textarea, select, dialog") !== null;
    if (event.key === "/" && !isTyping) this.go("#/search");
    else if (event.key.toLowerCase() === "n" && event.altKey) this.go("#/");
    else if (event.key === "Escape" && this.isMenuShown) this.showMenu(false);
    else return;
    event.preventDefault();
  }
}

function replaceAddress(address: string): void {
  history.replaceState(null, "", address);
}

applyTheme();
void new Page(document.getElementById("page") as HTMLElement).start();
