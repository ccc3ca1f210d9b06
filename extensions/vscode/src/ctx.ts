/** The extension's context: owns the language client, the engine's state and all disposables. */
import * as fs from "node:fs";
import * as os from "node:os";
import type { Connection } from "@allma/web/chat/messages";
import * as vscode from "vscode";
import {
  CloseAction,
  type CloseHandlerResult,
  DidChangeConfigurationNotification,
  ErrorAction,
  LanguageClient,
  type LanguageClientOptions,
  type RequestType,
  State,
} from "vscode-languageclient/node";
import { config } from "./config";
import { EngineMonitor, type Server } from "./engine";
import { environments } from "./environments";
import { NotRunning } from "./failures";
import { locate, type ServerProgram } from "./locate";
import { SourceMarks } from "./marks";
import { serverCommands } from "./serverCommands";

const CRASHES = 3;
const CRASH_WINDOW_MS = 3 * 60_000;

export class Ctx implements Server, vscode.Disposable {
  readonly log = vscode.window.createOutputChannel("Allma", { log: true });
  readonly engine = new EngineMonitor(this);
  readonly marks = new SourceMarks();
  connection: Connection = { state: "starting" };

  private readonly changed = new vscode.EventEmitter<Connection>();
  readonly onDidChangeConnection = this.changed.event;
  private readonly disposables: vscode.Disposable[] = [
    this.log,
    this.engine,
    this.marks,
    this.changed,
  ];
  private client: LanguageClient | undefined;
  private restarting: Promise<void> | undefined;
  private restartAgain = false;
  private crashes: number[] = [];

  constructor(readonly extension: vscode.ExtensionContext) {}

  push(...disposables: vscode.Disposable[]): void {
    this.disposables.push(...disposables);
  }

  async dispose(): Promise<void> {
    for (const disposable of this.disposables.reverse()) disposable.dispose();
    await this.stopClient();
  }

  /** Starts or restarts the server. Calls made during a restart lead to one more restart. */
  restart(): Promise<void> {
    this.restartAgain = true;
    this.restarting ??= this.untilSettled().finally(() => {
      this.restarting = undefined;
    });
    return this.restarting;
  }

  /**
   * Sends a request once the server runs.
   *
   * Rejects with `NotRunning` when there is no server, and with a `ResponseError` whose `data` is a
   * `Failure` when the server reports one.
   */
  async request<P, R, E>(
    type: RequestType<P, R, E>,
    params: P,
    token?: vscode.CancellationToken,
  ): Promise<R> {
    await this.restarting;
    if (!this.client || this.connection.state !== "ready") throw new NotRunning(this.connection);
    // `sendRequest` sends every further argument as a parameter, even when it is undefined.
    return token
      ? this.client.sendRequest<R>(type.method, params, token)
      : this.client.sendRequest<R>(type.method, params);
  }

  /** The running client, for progress notifications. Send requests with `request`. */
  get running(): LanguageClient | undefined {
    return this.connection.state === "ready" ? this.client : undefined;
  }

  /** Finds the server's program; null when it is not installed. */
  async locate(): Promise<ServerProgram | null> {
    return locate({
      setting: config.serverPath,
      environments: await environments(),
      PATH: process.env.PATH ?? process.env.Path ?? "",
      home: os.homedir(),
      workspaceFolder: vscode.workspace.workspaceFolders?.[0]?.uri.fsPath,
      platform: process.platform,
      isFile: (path) => fs.statSync(path, { throwIfNoEntry: false })?.isFile() ?? false,
    });
  }

  private async untilSettled(): Promise<void> {
    while (this.restartAgain) {
      this.restartAgain = false;
      await this.stopClient();
      await this.startClient();
    }
  }

  private async startClient(): Promise<void> {
    this.connect({ state: "starting" });
    const found = await this.locate();
    if (!found) {
      this.log.error("allma-server was not found.", config.serverPath);
      this.connect({ state: "missing" });
      return;
    }
    const args = ["lsp", ...config.serverArguments];
    this.log.info(`Starting ${found.command} ${args.join(" ")} (found by ${found.from})`);
    const client = new LanguageClient(
      "allma",
      "Allma",
      // Not the workspace's folder: files in the working directory could configure the server.
      {
        command: found.command,
        args,
        options: { cwd: os.homedir(), env: { ...process.env, PYTHONUTF8: "1" } },
      },
      this.clientOptions(),
    );
    this.client = client;
    client.onDidChangeState(({ newState }) => {
      if (this.client !== client) return;
      if (newState === State.Running) this.connect({ state: "ready" });
      else if (newState === State.Starting) this.connect({ state: "starting" });
    });
    try {
      await client.start();
    } catch (error) {
      this.log.error(`The server did not start: ${error}`);
      if (this.client === client) this.connect({ state: "stopped", reason: sentence(error) });
    }
  }

  private clientOptions(): LanguageClientOptions {
    return {
      documentSelector: [{ scheme: "file" }],
      outputChannel: this.log,
      initializationOptions: config.forServer(),
      initializationFailedHandler: () => false,
      errorHandler: {
        error: () => ({ action: ErrorAction.Continue }),
        closed: () => this.afterCrash(),
      },
      middleware: {
        // Nearly every word is in some passage: they would hide the symbols of the languages.
        // Allma has a search of its own here.
        provideWorkspaceSymbols: () => [],
        executeCommand: (command, args, next) => serverCommands(command, args, next),
        handleWorkDoneProgress: (token, params, next) =>
          this.engine.handleProgress(token, params) || next(token, params),
        workspace: {
          configuration: (params) =>
            params.items.map((item) =>
              config.forServer(item.scopeUri ? vscode.Uri.parse(item.scopeUri) : undefined),
            ),
          // No settings in the notification: the server requests `workspace/configuration`.
          didChangeConfiguration: () =>
            this.client?.sendNotification(DidChangeConfigurationNotification.type, {
              settings: null,
            }) ?? Promise.resolve(),
        },
      },
    };
  }

  /** Restarts a crashed server, at most `CRASHES` times within `CRASH_WINDOW_MS`. */
  private afterCrash(): CloseHandlerResult {
    const now = Date.now();
    this.crashes = [...this.crashes.filter((at) => now - at < CRASH_WINDOW_MS), now];
    if (this.crashes.length <= CRASHES) return { action: CloseAction.Restart, handled: true };
    this.crashes = [];
    this.connect({
      state: "stopped",
      reason: `The server crashed ${CRASHES + 1} times within three minutes.`,
    });
    return { action: CloseAction.DoNotRestart, handled: true };
  }

  private async stopClient(): Promise<void> {
    const client = this.client;
    this.client = undefined;
    if (!client) return;
    try {
      await client.dispose(5000);
    } catch (error) {
      this.log.warn(`The server did not stop in time: ${error}`);
    }
  }

  private connect(connection: Connection): void {
    this.connection = connection;
    void vscode.commands.executeCommand("setContext", "allma.state", connection.state);
    this.changed.fire(connection);
  }
}

function sentence(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
