// The packaged extension in a browser, from the first index to a reload of the window.
import assert from "node:assert/strict";
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
      ["a conversation is renamed", () => this.renames()],
      ["a search is explained", () => this.explains()],
      ["a model is downloaded and selected", () => this.switchesModel()],
      ["a reloaded window shows the same conversation", () => this.reloads()],
      ["a new chat starts empty, and the earlier one can be opened", () => this.returns()],
      [
        "without Ollama, passages are shown with instructions to start it",
        () => this.withoutOllama(),
      ],
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
    const stopped = async () => {
      await this.chat.locator(".pending .assistant .body > div").first().waitFor({ timeout: SLOW });
      await this.page.keyboard.press("Escape");
      await this.chat.locator(".pending").waitFor({ state: "detached", timeout: SLOW });
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
    await this.page.locator(".statusbar-item", { hasText: /Ln \d+.*selected/ }).waitFor();
    const first = this.page.locator(".monaco-editor .selected-text").first();
    await first.waitFor();
    assert.equal(line, 1);
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

  async attaches() {
    // The palette lists the command only if text is selected.
    const selected = this.page.locator(".statusbar-item", { hasText: "selected" }).first();
    await this.waitFor(async () => {
      await this.page.locator(".tab.active", { hasText: "harbor.py" }).click();
      await this.page.locator(".monaco-editor .view-lines").first().click();
      await this.page.keyboard.press("Control+a");
      return selected.isVisible();
    });
    await this.workbench.command("Allma: Ask About the Selection");
    await this.chat.getByText(/^harbor\.py, lines/).waitFor();
    await this.workbench.screenshot("attached");
    await this.chat.getByRole("button", { name: /^Remove harbor\.py/ }).click();
    await this.chat.getByText(/^harbor\.py, lines/).waitFor({ state: "detached" });
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
    await this.workbench.reload();
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
