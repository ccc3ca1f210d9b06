/** Settings of this browser, models, checks, and who is signed in. */
import { canChat } from "../chat/engine";
import type { Check, ModelInfo } from "../protocol";
import { type Child, codicon, h, iconButton, withCode } from "../view/dom";
import { confirmed, toast } from "./dialogs";
import { ollamaHelp } from "./help";
import { type Server, sentence } from "./http";
import type { Monitor } from "./monitor";
import { applyTheme, preferences, type Theme } from "./preferences";

const SIGNS: Record<Check["state"], string> = { ok: "pass", warning: "warning", failed: "error" };

export class SettingsPane {
  readonly element = h("section", { class: "pane", "aria-label": "Settings" });
  private readonly models = h("div");
  private readonly checks = h("div", { "aria-live": "polite" });
  private readonly about = h("div");
  private seen = "";

  constructor(
    private readonly server: Server,
    private readonly monitor: Monitor,
    private readonly signOut: () => void,
  ) {
    this.element.append(
      h("header", {}, h("h1", {}, "Settings")),
      h(
        "div",
        { class: "pane-body settings" },
        section("Appearance", this.theme()),
        section("Answers", this.passages()),
        section("Models", this.models),
        section("Checks", this.checks),
        section("About", this.about),
      ),
    );
    monitor.onChange(() => this.refresh());
  }

  open(): void {
    this.seen = "";
    this.refresh();
  }

  private refresh(): void {
    const { status, models, me } = this.monitor;
    if (this.element.hidden) return;
    const key = JSON.stringify([models, me, status?.ollama, status?.chatModel, preferences.model]);
    if (key === this.seen) return;
    this.seen = key;
    this.showModels();
    this.showAbout();
    if (!this.checks.children.length) this.showChecks(null);
  }

  private theme(): HTMLElement {
    const select = h("select", { id: "theme" });
    const names: [Theme, string][] = [
      ["system", "As the system"],
      ["light", "Light"],
      ["dark", "Dark"],
    ];
    select.append(...names.map(([value, label]) => h("option", { value }, label)));
    select.value = preferences.theme;
    select.addEventListener("change", () => {
      preferences.set({ theme: select.value as Theme });
      applyTheme();
    });
    return field("Colours", "theme", select);
  }

  private passages(): HTMLElement {
    const input = h("input", {
      id: "top-k",
      type: "number",
      min: "1",
      max: "50",
      placeholder: "5",
    });
    if (preferences.topK !== null) input.value = String(preferences.topK);
    input.addEventListener("change", () => {
      const given = input.value === "" ? null : Math.min(50, Math.max(1, Math.round(+input.value)));
      input.value = given === null ? "" : String(given);
      preferences.set({ topK: given });
    });
    const label = "Passages for an answer, at most";
    return field(label, "top-k", input);
  }

  private showModels(): void {
    const { status, models } = this.monitor;
    if (status && !status.ollama.reachable) {
      const reason = h(
        "p",
        {},
        codicon("debug-disconnect"),
        ...withCode(` ${status.ollama.reason ?? ""}`),
      );
      this.models.replaceChildren(reason, ...(ollamaHelp(status) as Node[]));
      return;
    }
    const rows = (models?.models ?? []).map((model) => this.model(model));
    const list = rows.length
      ? h("ul", { class: "models" }, ...rows)
      : h("p", {}, "No chat models installed.");
    const isOllama = models?.provider === "ollama";
    this.models.replaceChildren(
      list,
      ...(isOllama && this.monitor.may("admin") ? [this.pull()] : []),
    );
  }

  private model(model: ModelInfo): HTMLElement {
    const mayAll = this.monitor.may("admin");
    const used = mayAll
      ? model.inUse
      : model.name === (preferences.model ?? this.monitor.models?.inUse);
    const use = async () => {
      if (mayAll) await this.reported(this.server.call("models.use", { name: model.name }));
      else preferences.set({ model: model.name });
      await this.monitor.refresh();
    };
    const remove = async () => {
      const detail = "It can be downloaded again.";
      if (!(await confirmed(`Delete ${model.name}?`, detail, "Delete"))) return;
      await this.reported(this.server.call("models.delete", { name: model.name }));
      await this.monitor.refresh();
    };
    const facts = [
      model.parameters,
      model.size === null ? null : `${(model.size / 1e9).toFixed(1)} GB`,
      model.contextLength === null ? null : `${model.contextLength.toLocaleString("en")} tokens`,
    ];
    return h(
      "li",
      {},
      h("span", { class: "name" }, model.name),
      h("span", { class: "soft" }, facts.filter(Boolean).join(" · ")),
      used && h("span", { class: "in-use" }, codicon("pass"), " in use"),
      !used &&
        canChat(model) &&
        h("button", { type: "button", class: "link", click: () => void use() }, "Use"),
      mayAll && iconButton("trash", `Delete ${model.name}`, () => void remove()),
    );
  }

  /** The form that downloads a model, with its progress. */
  private pull(): HTMLElement {
    const name = h("input", {
      type: "text",
      placeholder: "llama3.2",
      "aria-label": "Name of a model to download",
      autocomplete: "off",
      required: true,
    });
    const progress = h("p", { class: "soft", role: "status" });
    const download = h("button", { type: "submit", class: "secondary" }, "Download");
    const submit = async () => {
      download.disabled = true;
      try {
        const done = await this.server.run("models.pull", { name: name.value.trim() }, (at) => {
          const part = at.total ? ` ${Math.floor((at.done / at.total) * 100)} %` : "";
          progress.textContent = `${at.message}${part}`;
        });
        progress.textContent = "";
        name.value = "";
        toast(done.message);
        await this.monitor.refresh();
      } catch (error) {
        progress.textContent = sentence(error);
      } finally {
        download.disabled = false;
      }
    };
    const onSubmit = (event: Event) => {
      event.preventDefault();
      void submit();
    };
    return h("form", { class: "inline", submit: onSubmit }, name, download, progress);
  }

  private showChecks(checks: Check[] | null): void {
    if (!this.monitor.may("admin")) {
      this.checks.replaceChildren(
        h("p", { class: "soft" }, "An administrator can run the checks."),
      );
      return;
    }
    const run = async () => {
      this.checks.replaceChildren(h("p", { class: "soft" }, codicon("loading"), " Checking…"));
      const found = await this.reported(this.server.call("doctor", {}));
      this.showChecks(found?.checks ?? null);
    };
    const label = checks === null ? "Check everything" : "Check again";
    const button = h(
      "button",
      { type: "button", class: "secondary", click: () => void run() },
      label,
    );
    const rows = (checks ?? []).map((check) =>
      h(
        "li",
        { class: check.state },
        codicon(SIGNS[check.state]),
        h("div", {}, h("strong", {}, check.name), ` ${check.detail}`, nextStep(check)),
      ),
    );
    this.checks.replaceChildren(h("ul", { class: "checks" }, ...rows), button);
  }

  private showAbout(): void {
    const { status, me } = this.monitor;
    const rows: [string, string | null | undefined][] = [
      ["Signed in as", me?.name],
      ["May", me && describeRights(me.rights)],
      ["Folders", me?.workspaces?.join(", ")],
      ["Allma", status?.version],
      ["Data", status?.dataDir],
      ["Embedding", status?.embedder.name],
      ["Keys", "/ searches · Alt+N starts a chat · Escape closes or stops"],
    ];
    const list = rows.flatMap(([name, value]) =>
      value ? [h("dt", {}, name), h("dd", {}, value)] : [],
    );
    this.about.replaceChildren(
      h("dl", {}, ...list),
      h("button", { type: "button", class: "secondary", click: () => this.signOut() }, "Sign out"),
    );
  }

  private async reported<T>(work: Promise<T>): Promise<T | undefined> {
    try {
      return await work;
    } catch (error) {
      toast(sentence(error));
      return undefined;
    }
  }
}

function describeRights(rights: readonly string[]): string {
  if (rights.includes("admin")) return "everything";
  return rights.includes("index") ? "ask, search, index and upload" : "ask and search";
}

function nextStep({ nextStep }: Check): Child {
  return nextStep !== null && h("p", { class: "soft" }, ...withCode(`Next: ${nextStep}`));
}

function section(title: string, ...content: Child[]): HTMLElement {
  return h("section", {}, h("h2", {}, title), ...content);
}

function field(label: string, id: string, control: HTMLElement): HTMLElement {
  return h("p", { class: "field" }, h("label", { for: id }, label), control);
}
