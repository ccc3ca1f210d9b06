// The page as its users see it, from signing in to a server that has stopped.
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

const QUESTION = "How often is a silent ferry asked before it is out of reach?";

export class PageTests {
  constructor(site) {
    this.site = site;
  }

  all() {
    return [
      ["the page asks to sign in, and refuses a wrong token", () => this.signsIn()],
      ["a code signs in once, and is not kept in the address", () => this.usesCode()],
      ["documents are listed with their states and reasons", () => this.documents()],
      ["an answer streams, and its source opens in the page", () => this.answers()],
      ["a page of a PDF opens as text with its number", () => this.opensPdf()],
      ["a search shows each passage in its document, by keyboard", () => this.searches()],
      ["an answer is kept when the browser goes away", () => this.leaves()],
      ["a stopped answer keeps its text", () => this.stops()],
      ["a conversation is renamed, saved and deleted", () => this.conversations()],
      ["files are uploaded, and hostile ones refused", () => this.uploads()],
      ["a model and colours are chosen", () => this.settings()],
      ["questions are restricted to a file", () => this.restricts()],
      ["files are mentioned and commands typed, by keyboard", () => this.mentions()],
      ["a reader sees no way to change anything", () => this.reads()],
      ["every control has a name, and the keyboard reaches the question", () => this.keyboard()],
      ["a narrow page fits, and its menu opens", () => this.phone()],
      ["a session that ends is told, and the draft stays", () => this.expires()],
      ["a server that stops is told, and the page reconnects", () => this.reconnects()],
      ["without Ollama, passages are shown with the way to start it", () => this.withoutOllama()],
      ["signing out ends the session", () => this.signsOut()],
      ["nothing was refused by the policy or asked of another server", () => this.isQuiet()],
    ];
  }

  async signsIn() {
    const page = await this.site.visitor();
    await page.goto(this.site.url);
    await page.getByRole("heading", { name: "Sign in to Allma" }).waitFor();
    await page.getByLabel(/token/).fill("no-such-token");
    await page.keyboard.press("Enter");
    await page.getByRole("alert").getByText("not valid").waitFor();
    await this.site.screenshot(page, "sign-in");
    await page.context().close();
  }

  async usesCode() {
    const page = await this.site.visitor();
    const file = await this.site.opened();
    const [, code] = readFileSync(new URL(file), "utf8").match(/#code=([\w-]+)/);
    assert.ok(!file.includes(code));
    await page.goto(file);
    await page.getByText("5 documents in 1 folder, 1 failed").waitFor();
    assert.equal(new URL(page.url()).hash, "#/");
    const [cookie] = await page.context().cookies();
    assert.deepEqual([cookie.httpOnly, cookie.sameSite], [true, "Strict"]);
    assert.equal(await page.evaluate(() => document.cookie), "");
    const again = await this.site.visitor();
    await again.goto(`${this.site.url}/#code=${code}`);
    await again.getByRole("alert").getByText("allma open").waitFor();
    await again.context().close();
    this.page = page;
    await this.site.screenshot(page, "light");
  }

  async documents() {
    await this.go("documents");
    const broken = this.page.locator(".document", { hasText: "broken.pdf" });
    assert.match(await broken.textContent(), /damaged/);
    await this.page.getByRole("button", { name: "Try broken.pdf again" }).click();
    await this.page.locator(".toasts p", { hasText: "1 failed" }).waitFor();
    await this.page.getByRole("button", { name: "Skipped 1" }).click();
    await broken.waitFor({ state: "detached" });
    await this.page.locator(".document", { hasText: "empty.txt" }).waitFor();
    await this.page.getByRole("button", { name: "All 7" }).click();
    await broken.waitFor();
    await this.site.screenshot(this.page, "documents");
  }

  async answers() {
    this.site.ollama.state.pause = 120;
    await this.go("");
    await this.ask(QUESTION);
    const answer = this.page.locator(".pending .assistant .body");
    await answer.locator("div").first().waitFor();
    const early = (await answer.textContent()).length;
    await this.waitFor(async () => (await answer.textContent().catch(() => "")).length > early);
    await this.site.screenshot(this.page, "streaming");
    await this.page.getByRole("button", { name: "Answer again" }).waitFor();
    await this.waitFor(() => /#\/chat\/.+/.test(this.page.url()));
    this.conversation = this.page.url();
    await this.page.locator("button.cite").first().hover();
    await this.page.getByRole("tooltip").getByText("asked seven times").waitFor();
    await this.site.screenshot(this.page, "card");
    await this.page
      .getByRole("button", { name: /^Source 1: / })
      .first()
      .click();
    await this.reader.getByText("asked seven times").waitFor();
    assert.equal(await this.reader.locator(".mark", { hasText: "asked seven times" }).count(), 1);
    await this.site.screenshot(this.page, "source");
    await this.page.keyboard.press("Escape");
    await this.reader.waitFor({ state: "hidden" });
    this.site.ollama.state.pause = 0;
  }

  async opensPdf() {
    await this.go("");
    await this.ask("Who keeps the lighthouse?");
    await this.page
      .getByRole("button", { name: /^Source \d+: manual\.pdf, p\. 2/ })
      .first()
      .click();
    await this.reader.getByText("Page 2").waitFor();
    await this.reader.locator(".mark", { hasText: "Edda Holm" }).waitFor();
    await this.reader.getByRole("button", { name: /Close/ }).click();
  }

  async searches() {
    await this.page.locator("body").press("Alt+n");
    await this.page.getByRole("link", { name: "Search" }).click();
    await this.page.getByRole("searchbox", { name: "Search" }).fill("next sailing minute");
    const results = this.page.locator(".result");
    await results.filter({ hasText: "harbor.py" }).first().waitFor();
    await this.page.keyboard.press("ArrowDown");
    await this.reader.locator(".mark").first().waitFor();
    const first = await this.reader.getByRole("heading").textContent();
    await this.page.keyboard.press("ArrowDown");
    await this.waitFor(
      async () => (await this.reader.getByRole("heading").textContent()) !== first,
    );
    await this.site.screenshot(this.page, "search");
    await this.page.getByRole("textbox", { name: "Only files that match" }).fill("*.none");
    await this.page
      .getByText(/No indexed file matches/)
      .first()
      .waitFor();
    await this.page.keyboard.press("Escape");
  }

  async leaves() {
    this.site.ollama.state.pause = 150;
    const page = await this.site.owner();
    await page.getByLabel("Question", { exact: true }).fill(QUESTION);
    await page.keyboard.press("Enter");
    await page.locator(".pending .assistant .body > div").first().waitFor();
    await this.waitFor(() => /#\/chat\/.+/.test(page.url()));
    const address = page.url();
    await page.context().close();
    const id = decodeURIComponent(address.split("/").at(-1));
    await this.waitFor(async () => {
      const { messages } = await this.site.allma("conversations", "show", id);
      return messages.at(-1)?.content.includes("doubles each time");
    });
    this.site.ollama.state.pause = 0;
    await this.page.goto(address);
    await this.page.getByText("doubles each time").first().waitFor();
  }

  async stops() {
    this.site.ollama.state.pause = 400;
    await this.go("");
    await this.ask(QUESTION);
    await this.page.locator(".pending .assistant .body > div").first().waitFor();
    await this.page.keyboard.press("Escape");
    await this.page.locator(".pending").waitFor({ state: "detached" });
    const answer = await this.page.locator(".turn.assistant .body").last().textContent();
    assert.ok(answer.startsWith("A ") && !answer.includes("each time"), answer);
    this.site.ollama.state.pause = 0;
  }

  async conversations() {
    await this.page.getByRole("button", { name: "Rename this conversation" }).click();
    await this.page.getByRole("textbox", { name: "Title" }).fill("Silent ferries");
    await this.page.keyboard.press("Enter");
    await this.page.getByRole("link", { name: /^Silent ferries/ }).waitFor();
    await this.page.getByRole("heading", { name: "Silent ferries" }).waitFor();
    const saving = this.page.waitForEvent("download");
    await this.page.getByRole("button", { name: "Save as Markdown" }).click();
    const saved = await saving;
    assert.equal(saved.suggestedFilename(), "Silent ferries.md");
    assert.match(readFileSync(await saved.path(), "utf8"), /silent ferry/);
    await this.page.getByRole("button", { name: "Delete this conversation" }).click();
    await this.page.getByRole("button", { name: "Delete", exact: true }).click();
    await this.page.getByRole("link", { name: /^Silent ferries/ }).waitFor({ state: "detached" });
    await this.page.getByRole("heading", { name: "New chat" }).waitFor();
  }

  async uploads() {
    await this.go("documents");
    await this.upload(
      { name: "tides.md", text: "# Tides\n\nHigh tide is at 6:40.\n" },
      /: indexed/,
    );
    await this.page.locator(".document", { hasText: "tides.md" }).waitFor();
    assert.match(readFileSync(join(this.site.project, "tides.md"), "utf8"), /6:40/);
    await this.upload({ name: "tides.md", text: "replaced" }, /exists/);
    assert.match(readFileSync(join(this.site.project, "tides.md"), "utf8"), /6:40/);
    await this.upload({ name: ".env", text: "KEY=1" }, /name/);
    await this.upload({ name: "photo.raw", text: "\0\0\0" }, /does not read/);
    await this.upload(
      { name: "noise.md", text: "\0\u0001\u0002".repeat(900) },
      /stored, but not indexed/,
    );
    assert.ok(!existsSync(join(this.site.project, ".env")));
    await this.site.screenshot(this.page, "uploaded");
    await this.go("");
    await this.page.getByText("6 documents in 1 folder").waitFor();
  }

  async settings() {
    await this.go("settings");
    await this.page
      .getByRole("listitem")
      .filter({ hasText: "harbor-small:1b" })
      .getByText("Use")
      .click();
    await this.page
      .getByRole("listitem")
      .filter({ hasText: "harbor-small:1b" })
      .getByText("in use")
      .waitFor();
    await this.page.getByLabel("Colours").selectOption("dark");
    await this.page.getByRole("button", { name: "Check everything" }).click();
    await this.page.getByText("Database", { exact: true }).waitFor();
    await this.site.screenshot(this.page, "dark-settings");
    await this.page.goto(this.conversation);
    await this.page.getByText("What was used").click();
    await this.site.screenshot(this.page, "dark");
    assert.equal(
      await this.page.getByLabel("Model", { exact: true }).inputValue(),
      "harbor-small:1b",
    );
    await this.page.reload();
    assert.equal(await this.page.locator("html").getAttribute("data-theme"), "dark");
    await this.go("settings");
    await this.page.getByLabel("Colours").selectOption("system");
  }

  async restricts() {
    await this.go("documents");
    await this.page.getByRole("button", { name: "Ask about manual.pdf" }).click();
    await this.page.getByText("Only manual.pdf").waitFor();
    await this.ask("Where does the keeper of the lighthouse live?");
    await this.page.getByRole("button", { name: "Answer again" }).waitFor();
    await this.page.getByText("What was used").click();
    const sources = await this.page.locator(".sources .file").allTextContents();
    assert.deepEqual([...new Set(sources)], ["manual.pdf"]);
  }

  async mentions() {
    await this.go("");
    await this.question.pressSequentially("what says @retr");
    const option = this.page.getByRole("option", { name: "retries.md" });
    await option.waitFor();
    assert.equal(await option.getAttribute("aria-selected"), "true");
    await this.site.screenshot(this.page, "mention");
    await this.page.keyboard.press("Enter");
    assert.equal(await this.question.inputValue(), "what says retries.md ");
    await this.page.getByText("Only retries.md").waitFor();
    await this.question.pressSequentially("and @man");
    await this.page.getByRole("option", { name: "manual.pdf" }).click();
    await this.page.getByText("Only manual.pdf").waitFor();
    await this.question.pressSequentially("of the keeper and the silent ferry?");
    await this.page.keyboard.press("Enter");
    await this.page.getByRole("button", { name: "Answer again" }).waitFor();
    await this.page.getByText("What was used").click();
    const sources = await this.page.locator(".sources .file").allTextContents();
    assert.deepEqual([...new Set(sources)].sort(), ["manual.pdf", "retries.md"]);
    await this.question.pressSequentially("@gone.md");
    await this.page.getByText("No indexed file or folder matches “gone.md”.").first().waitFor();
    await this.site.screenshot(this.page, "mention-gone");
    await this.question.fill("");
    await this.page.keyboard.press("ArrowUp");
    assert.match(await this.question.inputValue(), /silent ferry\?$/);
    await this.question.fill("");
    await this.question.pressSequentially("/");
    await this.page.getByRole("option", { name: "/deep" }).waitFor();
    await this.site.screenshot(this.page, "commands");
    await this.question.pressSequentially("new");
    await this.page.keyboard.press("Enter");
    await this.page.getByText("Ask your folders and documents").waitFor();
  }

  async reads() {
    const { token } = await this.site.allma("tokens", "add", "ann");
    const page = await this.site.visitor();
    await page.goto(this.site.url);
    await page.getByLabel(/token/).fill(token);
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByText("6 documents in 1 folder").waitFor();
    await page.getByRole("link", { name: "Documents" }).click();
    await page.locator(".document").first().waitFor();
    for (const name of [/Upload/, /Add folder/, /Remove/, /Update/]) {
      assert.equal(await page.getByRole("button", { name }).count(), 0, String(name));
    }
    await page.getByRole("link", { name: "Settings" }).click();
    await page.getByText("ask and search").waitFor();
    assert.equal(await page.getByText(this.site.data).count(), 0);
    await page.waitForLoadState("networkidle");
    assert.equal(await page.locator(".conversations li").count(), 0);
    assert.notEqual(await this.page.locator(".conversations li").count(), 0);
    assert.equal(await page.getByRole("button", { name: /Delete|Download|Check/ }).count(), 0);
    await page.context().close();
  }

  async keyboard() {
    for (const part of ["", "search", "documents", "settings"]) {
      await this.go(part);
      const tree = await this.page.locator("#page").ariaSnapshot();
      const nameless = tree
        .split("\n")
        .filter((line) => /- (button|link|textbox|combobox)( \[.*\])?:?$/.test(line.trimEnd()));
      assert.deepEqual(nameless, [], part);
    }
    await this.page.goto(this.site.url);
    await this.page.getByText("Ask your folders and documents").waitFor();
    await this.page.locator("a.skip").focus();
    await this.page.keyboard.press("Enter");
    await this.page.keyboard.type("typed");
    assert.equal(await this.question.inputValue(), "typed");
    await this.question.fill("");
    await this.page.locator("h1").first().click();
    await this.page.keyboard.press("/");
    await this.page.getByRole("searchbox", { name: "Search" }).waitFor();
    assert.match(this.page.url(), /#\/search/);
  }

  async phone() {
    const page = await this.site.owner({
      viewport: { width: 390, height: 780 },
      colorScheme: "dark",
      hasTouch: true,
    });
    await this.site.screenshot(page, "phone");
    await page.emulateMedia({ contrast: "more" });
    await this.site.screenshot(page, "phone-contrast");
    await page.emulateMedia({ contrast: null, forcedColors: "active" });
    await this.site.screenshot(page, "phone-forced-colors");
    await page.emulateMedia({ forcedColors: null });
    await page.getByRole("button", { name: "Menu" }).click();
    await page.getByRole("link", { name: "Documents" }).waitFor();
    await this.site.screenshot(page, "phone-menu");
    await page.keyboard.press("Escape");
    for (const part of [
      new URL(this.conversation).hash,
      "#/search/ferry",
      "#/documents",
      "#/settings",
    ]) {
      await page.goto(`${this.site.url}/${part}`);
      await page.waitForLoadState("networkidle");
      const { wide, screen } = await page.evaluate(() => {
        const right = [...document.querySelectorAll("main *")].map(
          (e) => e.getBoundingClientRect().right,
        );
        return { wide: Math.max(...right), screen: innerWidth };
      });
      assert.ok(wide <= screen + 1, `${part}: ${wide} of ${screen}`);
      await this.site.screenshot(page, `phone-${part.split("/")[1]}`);
    }
    await page.goto(this.conversation);
    await page.locator("button.cite").first().tap();
    await page.locator(".reader .mark").first().waitFor();
    await this.site.screenshot(page, "phone-source");
    await page.context().close();
  }

  async expires() {
    const { token } = await this.site.allma("tokens", "add", "bob", "--can", "admin");
    await this.go("");
    await this.question.fill("a half-written question");
    await this.page.context().clearCookies();
    await this.page.keyboard.press("Enter");
    await this.page.getByRole("heading", { name: /session has ended/ }).waitFor();
    await this.site.screenshot(this.page, "expired");
    await this.page.getByLabel(/token/).fill(token);
    await this.page.getByRole("button", { name: "Sign in" }).click();
    await this.page.getByRole("dialog").waitFor({ state: "hidden" });
    await this.page.getByText("a half-written question").waitFor();
    await this.page.getByRole("button", { name: "Try again" }).click();
    await this.page.getByRole("button", { name: "Answer again" }).waitFor();
  }

  async reconnects() {
    this.site.ollama.state.pause = 300;
    await this.go("");
    await this.ask(QUESTION);
    await this.page.locator(".pending .assistant .body > div").first().waitFor();
    await this.site.stopServing();
    await this.page.getByText("server is not running").waitFor();
    await this.site.screenshot(this.page, "stopped");
    this.site.ollama.state.pause = 0;
    await this.site.serve();
    await this.page.getByText("server is not running").waitFor({ state: "hidden" });
    await this.ask("When are sailings suspended in a storm?");
    await this.page.getByRole("button", { name: "Answer again" }).waitFor();
  }

  async withoutOllama() {
    await this.site.ollama.stop();
    const page = await this.site.owner();
    await page.getByText(/^Ollama is not running .* passages only\.$/).waitFor();
    await page.getByLabel("Question", { exact: true }).fill("Who keeps the lighthouse?");
    await page.keyboard.press("Enter");
    await page.getByText("Passages only").waitFor();
    await page
      .getByText(/Edda Holm/)
      .first()
      .waitFor();
    await this.site.screenshot(page, "without-ollama");
    await page.getByRole("button", { name: "How to start Ollama" }).click();
    await page.getByRole("dialog").getByText("ollama serve", { exact: true }).waitFor();
    await this.site.screenshot(page, "start-ollama");
    await page.getByRole("button", { name: "Close" }).click();
    await this.site.ollama.start();
    await page.getByRole("button", { name: "Check again" }).click();
    await page
      .getByRole("region", { name: "Notice" })
      .getByText(/^Ollama is not running/)
      .waitFor({ state: "hidden" });
    await page.context().close();
  }

  async signsOut() {
    await this.go("settings");
    await this.page.getByRole("button", { name: "Sign out" }).click();
    await this.page.getByRole("heading", { name: "Sign in to Allma" }).waitFor();
    assert.deepEqual(await this.page.context().cookies(), []);
  }

  isQuiet() {
    assert.deepEqual(this.site.complaints, []);
  }

  get question() {
    return this.page.getByLabel("Question", { exact: true });
  }

  get reader() {
    return this.page.getByRole("complementary", { name: "Source" });
  }

  /** Shows a part of the page by its link. */
  async go(part) {
    const names = {
      "": "New chat",
      search: "Search",
      documents: "Documents",
      settings: "Settings",
    };
    await this.page.getByRole("link", { name: names[part], exact: true }).click();
    const shown = part === "search" ? /^#\/search/ : new RegExp(`^#/${part}$`);
    await this.waitFor(() => shown.test(new URL(this.page.url()).hash));
    await this.page.getByRole("region", { name: part === "" ? "Chat" : names[part] }).waitFor();
  }

  async ask(question) {
    await this.question.fill(question);
    await this.question.press("Enter");
  }

  /** Uploads a file, and waits for a message. */
  async upload({ name, text }, message) {
    const choosing = this.page.waitForEvent("filechooser");
    await this.page.getByRole("button", { name: "Upload" }).click();
    const chooser = await choosing;
    await chooser.setFiles({
      name,
      mimeType: "application/octet-stream",
      buffer: Buffer.from(text),
    });
    await this.page.locator(".toasts p", { hasText: name }).filter({ hasText: message }).waitFor();
  }

  async waitFor(condition, timeout = 60_000) {
    const end = Date.now() + timeout;
    while (!(await condition())) {
      if (Date.now() > end) throw new Error(`not in ${timeout} ms: ${condition}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}
