/** The command that shows and changes the server's settings, those without one of the editor, too. */
import { execFile } from "node:child_process";
import * as os from "node:os";
import { promisify } from "node:util";
import * as vscode from "vscode";
import type { Ctx } from "../ctx";
import { NotRunning } from "../failures";
import { type Failure, SERVER_SETTINGS } from "../protocol";
import type { CommandContext } from "./context";

interface ServerSetting {
  key: string;
  value: unknown;
  source: string;
  description: string;
  notice: string | null;
}

interface Entry extends vscode.QuickPickItem {
  run(): unknown;
}

/** Providers whose servers may need a key. */
const PROVIDERS = ["ollama", "openai"];

export const serverSettings =
  ({ ctx }: CommandContext) =>
  async () => {
    const { settings, file } = (await config(ctx)) as { settings: ServerSetting[]; file: string };
    const chosen = await vscode.window.showQuickPick<Entry>(
      [...settings.map((setting) => entryOf(ctx, setting)), ...others(ctx, file)],
      { title: `Allma: settings of the server (${file})`, matchOnDetail: true },
    );
    await chosen?.run();
  };

function entryOf(ctx: Ctx, setting: ServerSetting): Entry {
  const { key, value, source, description } = setting;
  const shown = value === null || value === "" ? "not set" : String(value);
  const own = SERVER_SETTINGS.find((name) => name === toCamel(key));
  return {
    label: key,
    description: `${shown} (${source})`,
    detail: description,
    // The editor's own setting, where there is one, has precedence over the server's.
    run: () =>
      own
        ? vscode.commands.executeCommand("workbench.action.openSettings", `@id:allma.${own}`)
        : change(ctx, setting),
  };
}

function others(ctx: Ctx, file: string): Entry[] {
  const keys = PROVIDERS.map((provider) => ({
    label: `$(key) Store an API key for ${provider}…`,
    detail: "In the system's key ring, never in a file.",
    run: () => inTerminal(ctx, ["config", "set-key", provider]),
  }));
  const open = () => vscode.window.showTextDocument(vscode.Uri.file(file));
  return [...keys, { label: "$(go-to-file) Open the settings file", detail: file, run: open }];
}

async function change(ctx: Ctx, { key, value, description, source }: ServerSetting) {
  const isSet = source === "config.toml";
  const given = await vscode.window.showInputBox({
    title: key,
    prompt: isSet ? `${description} Empty: the default.` : description,
    value: value === null ? "" : String(value),
  });
  if (given === undefined || (given === "" && !isSet)) return;
  const args = given === "" ? ["unset", key] : ["set", key, given];
  const { notice } = ((await config(ctx, ...args)) ?? {}) as Partial<ServerSetting>;
  // The notice says that the engine that runs does not use the new value yet.
  const text = [`Allma: ${key} is changed.`, notice].filter(Boolean).join(" ");
  const buttons = notice ? ["Restart Engine"] : [];
  const chosen = await vscode.window.showInformationMessage(text, ...buttons);
  if (!chosen) return;
  await program(ctx, "daemon", "restart");
  await ctx.restart();
}

function config(ctx: Ctx, ...args: string[]): Promise<unknown> {
  return program(ctx, "config", ...args);
}

/** Runs a command of the shell; returns its result, or throws its failure. */
async function program(ctx: Ctx, ...args: string[]): Promise<unknown> {
  const command = await commandOf(ctx);
  // Not the workspace's folder: files in the working directory could configure the server.
  const options = { cwd: os.homedir(), env: { ...process.env, PYTHONUTF8: "1" } };
  try {
    const { stdout } = await promisify(execFile)(command, [...args, "--json"], options);
    return stdout.trim() === "" ? null : JSON.parse(stdout);
  } catch (error) {
    const output = (error as { stdout?: string }).stdout ?? "";
    if (!output.startsWith("{")) throw error;
    const data: Failure = JSON.parse(output);
    throw Object.assign(new Error(data.message), { data });
  }
}

async function inTerminal(ctx: Ctx, args: string[]): Promise<void> {
  const shellPath = await commandOf(ctx);
  vscode.window.createTerminal({ name: "Allma", shellPath, shellArgs: args }).show();
}

async function commandOf(ctx: Ctx): Promise<string> {
  const found = await ctx.locate();
  if (!found) throw new NotRunning({ state: "missing" });
  return found.command;
}

function toCamel(key: string): string {
  return key.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase());
}
