// The packaged extension in a browser, from the first index to a reload of the window.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Workbench } from "./workbench.mjs";

const SLOW = 180_000;

/** Stops the model server at the end. */
export async function uiTests(vsix, ollama) {
  const workbench = await Workbench.open({ vsix, ollamaUrl: ollama.url });
  const lines = [];
  try {
    const steps = new Steps(workbench, ollama);
    for (const [title, step] of steps.all()) {
      const began = Date.now();
      try {
        await step();
      } catch (error) {
        await workbench.screenshot("ui-failed");
        lines.push(`not ok ${title}\n${error.stack}`);
        break; // later steps depend on it
      }
      lines.push(`ok ${title} (${Date.now() - began} ms)`);
    }
  } finally {
    await workbench.close();
  }
  return lines;
}

class Steps {
  constructor(workbench, ollama) {
    this.workbench = workbench;
    this.ollama = ollama;
    this.page = workbench.page;
  }

  get chat() {
    return this.workbench.chat;
  }

  all() {
    return [
      [
        "the folder is indexed, and the documents view shows what failed and why",
        () => this.indexed(),
      ],
      ["an answer streams", () => this.streams()],
      ["a stopped answer keeps its text and its sources", () => this.stops()],
      ["an answer is repeated and a question edited without duplicates", () => this.repeats()],
      ["a source opens at its line", () => this.opensSource()],
      ["a search previews the active result", () => this.searches()],
      ["a selection is attached to a question", () => this.attaches()],
      ["a file and the selection are mentioned by keyboard", () => this.mentions()],
      ["a conversation is renamed", () => this.renames()],
      ["a search is explained", () => this.explains()],
      ["the chat opens in an editor tab, with the same conversation", () => this.opensTab()],
      ["a model is downloaded and selected", () => this.switchesModel()],
      ["a reloaded window shows the same conversation", () => this.reloads()],
      ["a setting of the server is changed, and a wrong value refused", () => this.configures()],
      ["a new chat starts empty, and the earlier one can be opened", () => this.returns()],
      [
        "without Ollama, passages are shown with instructions to start it",
        () => this.withoutOllama(),
      ],
      ["in high contrast, boxes and the active suggestion have borders", () => this.contrast()],
      ["the view works when it is narrow, and in a dark theme", () => this.narrowAndDark()],
    ];
  }

  async indexed() {
    await this.workbench.openChat();
    await this.workbench.status(/Allma$/);
    await this.page.getByRole("button", { name: "Documents Section" }).click();
    await this.row("Failed").click();
    await this.row("broken.pdf").waitFor();
    assert.match(await this.row("broken.pdf").textContent(), /damaged/);
    await this.workbench.screenshot("documents");
    await this.page.getByRole("button", { name: "Documents Section" }).click();
  }

  async streams() {
    await this.ask("How often is a silent ferry asked before it is out of reach?");
    const answer = this.chat.locator(".pending .assistant .body");
    await this.chat.locator(".pending .assistant .body > div").first().waitFor({ timeout: SLOW });
    const early = await answer.textContent();
    await this.waitFor(async () => (await answer.textContent()).length > early.length);
    await this.workbench.screenshot("streaming");
  }

  async stops() {
    await this.chat.getByRole("button", { name: "Stop", exact: true }).click();
    await this.chat.getByRole("button", { name: "Ask", exact: true }).waitFor({ timeout: SLOW });
    const turn = this.chat.locator(".turn.assistant").last();
    assert.match(await turn.locator(".body").textContent(), /…\s*$/);
    await turn.getByText(/What was used: \d+ sources?/).click();
    await turn.locator("button.source").first().waitFor();
    await this.workbench.screenshot("sources");
  }

  async repeats() {
    const turns = this.chat.locator(".turn.assistant");
    const pending = this.chat.locator(".pending");
    const begun = pending.locator(".assistant .body > div");
    // A small model may repeat itself at once, which ends its answer.
    const ended = this.chat.getByRole("button", { name: "Answer again" });
    const stopped = async () => {
      await pending.waitFor({ timeout: SLOW });
      await begun.or(ended).first().waitFor({ timeout: SLOW });
      await this.page.keyboard.press("Escape");
      await pending.waitFor({ state: "detached", timeout: SLOW });
      assert.equal(await turns.count(), 1);
    };
    await this.chat.getByRole("button", { name: "Answer again" }).last().click();
    await stopped();
    await this.chat.getByRole("button", { name: "Edit and ask again" }).click();
    await this.chat.getByText("Editing an earlier question").waitFor();
    await this.workbench.screenshot("editing");
    await this.ask("How often is a silent ferry asked by radio?");
    await stopped();
    assert.match(await this.chat.locator(".turn.user").textContent(), /by radio/);
    await this.chat.getByText(/What was used: \d+ sources?/).click();
  }

  async opensSource() {
    const source = this.chat.getByRole("button", { name: /^Source \d: retries\.md/ }).first();
    const line = Number(/, (\d+)/.exec(await source.getAttribute("aria-label"))[1]);
    await source.click();
    await this.page.locator(".tab.active", { hasText: "retries.md" }).waitFor();
    await this.page.locator(".statusbar-item", { hasText: `Ln ${line}, Col 1` }).waitFor();
    await this.page.locator('.monaco-editor .view-overlays [class*="ced-"]').first().waitFor();
    assert.equal(await this.page.locator(".monaco-editor .selected-text").count(), 0);
    await this.workbench.screenshot("source");
  }

  async searches() {
    await this.workbench.command("Allma: Search");
    const input = this.page.locator(".quick-input-widget input.input");
    await input.fill("next sailing minute");
    const row = this.page.locator(".quick-input-list .monaco-list-row", { hasText: "harbor.py" });
    await row.first().waitFor({ timeout: 30_000 });
    for (let i = 0; i < 10; i++) {
      if (await row.first().evaluate((e) => e.classList.contains("focused"))) break;
      await this.page.keyboard.press("ArrowDown");
    }
    await this.page.locator(".tab", { hasText: "harbor.py" }).waitFor({ timeout: 30_000 });
    await this.workbench.screenshot("search");
    await this.page.keyboard.press("Enter");
    await this.page.locator(".tab.active", { hasText: "harbor.py" }).waitFor();
  }

  async explains() {
    await this.workbench.command("Allma: Search");
    await this.page.locator(".quick-input-widget input.input").fill("silent ferry retry limit");
    await this.page.getByRole("button", { name: "Why these passages?" }).click();
    await this.page.locator(".tab.active", { hasText: "Search explained" }).waitFor();
    const page = this.page
      .frameLocator('iframe.webview.ready[src*="markdown"]')
      .frameLocator("iframe#active-frame");
    await page.getByText("docs/retries.md").waitFor({ timeout: 30_000 });
    await page.getByText("dense", { exact: true }).waitFor();
    await this.workbench.screenshot("explained");
    await this.workbench.command("View: Close Editor");
    await this.page.locator(".tab.active", { hasText: "harbor.py" }).waitFor();
  }

  async mentions() {
    await this.question.pressSequentially("what says @retr");
    const option = (name) => this.chat.getByRole("option", { name });
    await option("retries.md").waitFor();
    await this.workbench.screenshot("mention");
    await this.page.keyboard.press("Enter");
    await this.chat.getByText("Only docs/retries.md").waitFor();
    await this.question.pressSequentially("about #sel");
    await option("harbor.py, lines").waitFor();
    await this.page.keyboard.press("Tab");
    await this.chat.getByText(/^harbor\.py, lines/).waitFor();
    assert.equal(await this.question.inputValue(), "what says retries.md about ");
    await this.workbench.screenshot("mentioned");
    for (const name of [/^Remove harbor\.py/, /^Remove Only/]) {
      await this.chat.getByRole("button", { name }).click();
    }
    await this.chat.locator(".log").evaluate((log, uri) => {
      const dataTransfer = new DataTransfer();
      dataTransfer.setData("text/uri-list", uri);
      log.dispatchEvent(new DragEvent("drop", { dataTransfer, bubbles: true, cancelable: true }));
    }, `file://${this.workbench.project}/docs`);
    await this.chat.getByRole("button", { name: "Remove Only docs" }).click();
    await this.question.fill("/");
    await option("/new").waitFor();
    await this.workbench.screenshot("commands");
    await this.page.keyboard.press("Escape");
    await this.question.fill("");
    await this.page.keyboard.press("ArrowUp");
    assert.match(await this.question.inputValue(), /by radio\?$/);
    await this.question.fill("");
  }

  async opensTab() {
    await this.workbench.command("Allma: Open Chat in an Editor Tab");
    const chat = this.workbench.editorChat;
    await chat.getByText("How often is a silent ferry asked").waitFor();
    await this.page.locator(".tab.active", { hasText: "Silent ferries" }).waitFor();
    await this.workbench.screenshot("editor-tab");
    await chat.getByText(/What was used: \d+ sources?/).click();
    await chat.locator("button.source").first().click();
    await this.page.locator(".tab.active", { hasText: "retries.md" }).waitFor();
    assert.equal(await this.page.locator(".editor-group-container").count(), 2);
    await this.workbench.screenshot("editor-tab-source");
    await this.workbench.command("View: Close All Editors");
    await this.page.locator(".tab").first().waitFor({ state: "detached" });
  }

  async attaches() {
    await this.selectAll();
    await this.workbench.command("Allma: Ask About the Selection");
    await this.chat.getByText(/^harbor\.py, lines/).waitFor();
    await this.workbench.screenshot("attached");
    await this.chat.getByRole("button", { name: /^Remove harbor\.py/ }).click();
    await this.chat.getByText(/^harbor\.py, lines/).waitFor({ state: "detached" });
  }

  /** Selects the text of harbor.py. The palette lists some commands only then. */
  async selectAll() {
    const selected = this.page.locator(".statusbar-item", { hasText: "selected" }).first();
    await this.waitFor(async () => {
      await this.page.locator(".tab.active", { hasText: "harbor.py" }).click();
      await this.page.locator(".monaco-editor .view-lines").first().click();
      await this.page.keyboard.press("Control+a");
      return selected.isVisible();
    });
  }

  async renames() {
    await this.workbench.command("Allma: Rename Conversation");
    const input = this.page.locator(".quick-input-widget input.input");
    await input.fill("Silent ferries");
    await this.page.keyboard.press("Enter");
    await this.page.getByRole("button", { name: "Conversations Section" }).click();
    await this.row("Silent ferries").waitFor({ timeout: 20_000 });
    await this.workbench.screenshot("conversations");
  }

  async switchesModel() {
    const name = "smollm2:135m-instruct-q4_1";
    await this.workbench.command("Allma: Download a Model");
    await this.page.locator(".quick-input-widget input.input").fill(name);
    await this.page.keyboard.press("Enter");
    const select = this.chat.getByLabel("Model");
    await this.waitFor(async () => (await select.textContent()).includes(name));
    await select.selectOption(name);
    await this.ask("When are all sailings suspended in a storm?");
    const answered = this.chat.locator(".turn.assistant .model", { hasText: name });
    const begun = this.chat.locator(".pending .assistant .body > div").first();
    await begun.or(answered).first().waitFor({ timeout: SLOW });
    await this.page.keyboard.press("Escape");
    await answered.waitFor({ timeout: SLOW });
  }

  async reloads() {
    await this.question.fill("a half-written question");
    await this.workbench.reload("a half-written question");
    await this.workbench.openChat();
    await this.chat.getByText("How often is a silent ferry asked").waitFor({ timeout: SLOW });
    assert.equal(await this.question.inputValue(), "a half-written question");
    assert.equal(await this.chat.locator(".turn.assistant").count(), 2);
    await this.chat.getByText("What was used").first().waitFor();
    await this.waitFor(async () =>
      (await this.chat.getByLabel("Model").inputValue()).endsWith("q4_1"),
    );
    await this.workbench.screenshot("reloaded");
  }

  async configures() {
    const input = this.page.locator(".quick-input-widget input.input");
    const set = async (value) => {
      await this.workbench.command("Allma: Server Settings");
      await input.fill("max_file_mb");
      await this.page.locator(".quick-input-list .monaco-list-row", { hasText: "(" }).waitFor();
      await this.workbench.screenshot("server-settings");
      await this.page.keyboard.press("Enter");
      await this.page.locator(".quick-input-widget", { hasText: "Larger files" }).waitFor();
      await input.fill(value);
      await this.page.keyboard.press("Enter");
    };
    await set("40");
    await this.page
      .getByText("max_file_mb is changed. The running engine uses 50")
      .first()
      .waitFor();
    const file = join(this.workbench.folder, "config.toml");
    assert.match(readFileSync(file, "utf8"), /max_file_mb = 40/);
    await set("-1");
    await this.page
      .getByText(/max_file_mb must be/)
      .first()
      .waitFor();
    await this.workbench.command("Allma: Get Started");
    await this.page.getByText("Get Started with Allma").first().waitFor();
    await this.workbench.screenshot("walkthrough");
    await this.workbench.command("View: Close All Editors");
  }

  async returns() {
    await this.workbench.command("Allma: New Chat");
    await this.chat.getByText("Ask your folders and documents").waitFor();
    await this.workbench.screenshot("welcome");
    await this.row("Silent ferries").click();
    await this.chat.getByText("How often is a silent ferry asked").waitFor();
  }

  async withoutOllama() {
    await this.ollama.stop();
    await this.workbench.command("Allma: New Chat");
    await this.ask("Who keeps the lighthouse?");
    const turn = this.chat.locator(".turn.assistant").last();
    await turn.getByText("Passages only").waitFor({ timeout: SLOW });
    await turn
      .getByText(/Edda Holm/)
      .first()
      .waitFor();
    await this.chat.getByText(/^Ollama is not running .* passages only\.$/).waitFor();
    await this.workbench.status("Ollama not running");
    await this.workbench.screenshot("without-ollama");
    await this.chat.getByRole("button", { name: "How to start Ollama" }).click();
    await this.page.locator(".tab", { hasText: "Starting Ollama" }).waitFor({ timeout: 30_000 });
    await this.workbench.screenshot("start-ollama");
  }

  async contrast() {
    await this.row("Silent ferries").click();
    await this.chat.getByText("How often is a silent ferry asked").waitFor();
    for (const [theme, name] of [
      ["Dark High Contrast", "hc-black"],
      ["Light High Contrast", "hc-light"],
    ]) {
      await this.theme(theme, name);
      await this.question.fill("/");
      await this.chat.getByRole("option", { name: "/new" }).waitFor();
      for (const selector of [".composer", ".suggestions", ".suggestions [aria-selected=true]"]) {
        const color = await this.chat
          .locator(selector)
          .first()
          .evaluate((element) => getComputedStyle(element).borderTopColor);
        assert.doesNotMatch(color, /, 0\)$|transparent/, `${selector}: ${color}`);
      }
      await this.workbench.screenshot(name);
      await this.question.fill("");
    }
    await this.theme("Light Modern", "vs");
  }

  async theme(label, name) {
    await this.workbench.command("Preferences: Color Theme");
    await this.page.locator(".quick-input-widget input.input").fill(label);
    const row = this.page.locator(".quick-input-list .monaco-list-row.focused", { hasText: label });
    await row.waitFor();
    await this.page.keyboard.press("Enter");
    await this.page.locator(`.monaco-workbench.${name}`).waitFor();
  }

  async narrowAndDark() {
    await this.workbench.command("Preferences: Toggle between Light/Dark Themes");
    await this.page.locator(".monaco-workbench.vs-dark").waitFor();
    await this.row("Silent ferries").click();
    await this.chat.getByText("How often is a silent ferry asked").waitFor();
    await this.workbench.screenshot("dark");
    await this.page.setViewportSize({ width: 420, height: 760 });
    const page = this.chat.locator("body");
    await this.waitFor(() => page.evaluate((body) => body.scrollWidth <= body.clientWidth));
    await this.workbench.screenshot("narrow");
  }

  get question() {
    return this.chat.getByLabel("Question", { exact: true });
  }

  async ask(question) {
    await this.question.fill(question);
    await this.question.press("Enter");
  }

  row(text) {
    return this.page.locator(".pane .monaco-list-row", { hasText: text }).first();
  }

  async waitFor(condition, timeout = SLOW) {
    const end = Date.now() + timeout;
    while (!(await condition())) {
      if (Date.now() > end) throw new Error(`not in ${timeout} ms: ${condition}`);
      await this.page.waitForTimeout(100);
    }
  }
}
