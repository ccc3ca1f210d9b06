/** Commands for the server: status, diagnosis, restart, installation. */

import { isActive } from "@allma/web/chat/engine";
import { stepForModelServer } from "@allma/web/chat/steps";
import * as vscode from "vscode";
import { COMMANDS } from "../actions";
import { config } from "../config";
import type { Ctx } from "../ctx";
import * as rpc from "../protocol";
import type { CommandContext } from "./context";

interface Entry extends vscode.QuickPickItem {
  run?: () => unknown;
}

export const status =
  ({ ctx }: CommandContext) =>
  async () => {
    await ctx.engine.refresh();
    const chosen = await vscode.window.showQuickPick<Entry>(entries(ctx), {
      title: "Allma",
      placeHolder: "Status and actions",
    });
    await chosen?.run?.();
  };

export const doctor =
  ({ ctx, report }: CommandContext) =>
  async () => {
    const location = vscode.ProgressLocation.Window;
    const diagnosis = await vscode.window.withProgress(
      { location, title: "Allma: checking everything" },
      () => ctx.request(rpc.doctor, {}),
    );
    await report.show("Doctor", diagnosisText(diagnosis));
  };

export const restart =
  ({ ctx }: CommandContext) =>
  () =>
    ctx.restart();

export const showLog =
  ({ ctx }: CommandContext) =>
  () =>
    ctx.log.show();

export const walkthrough = () => () =>
  vscode.commands.executeCommand("workbench.action.openWalkthrough", "allma.allma#allma.start");

export const install =
  ({ ctx, report }: CommandContext) =>
  async () => {
    await report.show("Installing the server", installText(config.serverPath));
    const chosen = await vscode.window.showInformationMessage(
      "When allma-server is installed, Allma can be started.",
      "Install in Terminal",
      "Choose Program…",
      "Try Again",
    );
    if (chosen === "Install in Terminal") installInTerminal();
    else if (chosen === "Choose Program…") await chooseProgram();
    else if (chosen === "Try Again") await ctx.restart();
  };

export const startOllama =
  ({ report }: CommandContext) =>
  () =>
    report.show("Starting Ollama", OLLAMA_TEXT);

function entries(ctx: Ctx): Entry[] {
  const command = (label: string, name: string, description?: string): Entry => ({
    label,
    description,
    run: () => vscode.commands.executeCommand(`allma.vscode.${name}`),
  });
  const separator = (label: string): Entry => ({
    label,
    kind: vscode.QuickPickItemKind.Separator,
  });
  return [
    ...statusEntries(ctx),
    separator("Actions"),
    command("$(comment-discussion) Ask a question", "ask"),
    command("$(search) Search", "search"),
    command("$(new-folder) Index files or folders…", "ingest"),
    command("$(server-environment) Choose or manage models…", "models"),
    command("$(settings-gear) Change the server's settings…", "serverSettings"),
    command("$(pulse) Check everything", "doctor"),
    command("$(debug-restart) Restart the server", "restart"),
    command("$(output) Show the log", "showLog"),
  ];
}

function statusEntries(ctx: Ctx): Entry[] {
  const { connection } = ctx;
  if (connection.state !== "ready") {
    const reason = connection.state === "stopped" ? connection.reason : undefined;
    return [{ label: `$(error) The server is ${connection.state}`, detail: reason }];
  }
  const { status } = ctx.engine;
  if (!status) return [];
  const jobs: Entry[] = status.jobs.filter(isActive).map((job) => ({
    label: `$(sync~spin) Indexing ${job.path}`,
    description: job.total === null ? "" : `${job.done} of ${job.total}`,
    detail: "Select to stop. Files indexed so far stay indexed.",
    run: () => ctx.request(rpc.jobsCancel, { jobId: job.id }),
  }));
  const folders: Entry[] = status.workspaces.map((w) => ({
    label: `$(folder) ${w.path}`,
    description: `${w.documents} documents, ${w.failed} failed, ${w.skipped} skipped`,
    detail: w.reason ?? w.notice ?? undefined,
    run: () => vscode.commands.executeCommand("allma.documents.focus"),
  }));
  const step = stepForModelServer(status.ollama);
  const ollama: Entry = status.ollama.reachable
    ? {
        label: `$(server-environment) ${status.chatModel ?? "No chat model"}`,
        description: `${status.ollama.provider} ${status.ollama.version ?? ""} at ${status.ollama.url}`,
        run: () => vscode.commands.executeCommand("allma.vscode.models"),
      }
    : {
        label: "$(debug-disconnect) No models",
        description: status.ollama.url,
        detail: status.ollama.reason ?? undefined,
        run: () => step && vscode.commands.executeCommand(COMMANDS[step.action]),
      };
  return [
    ...jobs,
    ...folders,
    ollama,
    {
      label: `$(library) ${status.embedder.name ?? "The embedder is chosen when the first file is indexed"}`,
      description: `Vectors: ${status.vectors.store}, ${status.vectors.state}`,
      detail: status.vectors.reason ?? undefined,
    },
    { label: `$(database) ${status.dataDir}`, description: `allma-server ${status.version}` },
  ];
}

export function diagnosisText(diagnosis: rpc.Diagnosis): string {
  const signs = { ok: "✓", warning: "!", failed: "✗" };
  const lines = diagnosis.checks.map((check) => {
    const next = check.nextStep ? `\n\n  **Next:** ${check.nextStep}` : "";
    return `- ${signs[check.state]} **${check.name}**: ${check.detail}${next}`;
  });
  const verdict = diagnosis.healthy ? "All checks passed." : "Some checks need attention.";
  return `# Allma: doctor\n\n${verdict}\n\n${lines.join("\n")}\n`;
}

function installText(setting: string): string {
  const missing = setting
    ? `The setting \`allma.server.path\` is \`${setting}\`, which is not a program.`
    : "The program `allma-server` was not found in this workspace's Python environment or on the `PATH`.";
  return `# Install Allma's server

${missing}

It needs Python 3.11 or newer. Install it with one of these commands:

\`\`\`sh
pip install allma-server        # into the active environment
pipx install allma-server       # for your user, in a separate environment
uv tool install allma-server    # the same, with uv
\`\`\`

Then run **Allma: Restart Server**. If the program is elsewhere, set \`allma.server.path\` to its path.
`;
}

const OLLAMA_TEXT = `# Start Ollama

Ollama runs the models that write answers, on this machine. Without it Allma still indexes and
searches, and answers with the best-matching passages.

1. Install it from [ollama.com/download](https://ollama.com/download), if it is not installed yet.
2. Start it: open the Ollama app, or run \`ollama serve\` in a terminal.
3. Get a model: run **Allma: Download a Model…**, or \`ollama pull llama3.2\`.

Allma detects when Ollama is running. To use another address than \`http://127.0.0.1:11434\`, run
\`allma config set ollama_url URL\`.
`;

function installInTerminal(): void {
  const terminal = vscode.window.createTerminal("Install Allma");
  terminal.show();
  terminal.sendText("pip install allma-server", false);
}

async function chooseProgram(): Promise<void> {
  const picked = await vscode.window.showOpenDialog({ title: "The program allma-server" });
  const path = picked?.[0]?.fsPath;
  if (path === undefined) return;
  // The path depends on the machine, not on the project.
  const target = vscode.ConfigurationTarget.Global;
  await vscode.workspace.getConfiguration("allma").update("server.path", path, target);
}
