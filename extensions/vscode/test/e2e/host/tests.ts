import assert from "node:assert/strict";
import path from "node:path";
import { ago } from "@allma/web/chat/ago";
import { sourceOf } from "@allma/web/chat/messages";
import { reportText } from "@allma/web/chat/report";
import { searchRemark, stepForModelServer } from "@allma/web/chat/steps";
import * as vscode from "vscode";
import { COMMANDS } from "../../../src/actions";
import { askWithProgress } from "../../../src/chat/view";
import type { CommandContext } from "../../../src/commands/context";
import { diagnosisText } from "../../../src/commands/engine";
import { explanationText } from "../../../src/commands/explain";
import { failureOf, isCancelled } from "../../../src/failures";
import { openSource } from "../../../src/open";
import { answer } from "../../../src/participant";
import * as rpc from "../../../src/protocol";
import { statusText } from "../../../src/status";

const SECONDS = 1000;
const NO_OLLAMA = {
  reachable: false,
  reason: null,
  step: stepForModelServer({
    url: "",
    reachable: false,
    version: null,
    reason: null,
    provider: "ollama",
    reasonCode: "provider_unreachable",
  }),
};

export function suites(): void {
  describe("Allma in the extension host", () => {
    let context: CommandContext;
    let project: string;

    before(async () => {
      project = vscode.workspace.workspaceFolders?.[0]?.uri.fsPath ?? "";
      const extension = vscode.extensions.getExtension<CommandContext>("allma.allma");
      assert.ok(extension, "the extension is there");
      context = await extension.activate();
      await until(() => context.ctx.connection.state === "ready");
      await until(async () => {
        await context.ctx.engine.refresh();
        const [folder] = context.ctx.engine.status?.workspaces ?? [];
        return folder !== undefined && folder.documents >= 5 && !context.ctx.engine.indexing;
      }, 90 * SECONDS);
    });

    const request: typeof context.ctx.request = (type, params, token) =>
      context.ctx.request(type, params, token);

    /** The text of the source that is marked. */
    const markedText = () => {
      const { editor, range } = context.ctx.marks.shown ?? {};
      return editor?.document.getText(range) ?? "";
    };

    const find = async (query: string, file: string) => {
      const { passages } = await request(rpc.search, { query });
      const passage = passages.find((p) => path.basename(p.path) === file);
      assert.ok(passage, `${file} is found for “${query}”`);
      return passage;
    };

    it("registers its own commands beside those of the server", async () => {
      const commands = await vscode.commands.getCommands(true);
      const { contributes } = context.ctx.extension.extension.packageJSON;
      for (const { command } of contributes.commands)
        assert.ok(commands.includes(command), command);
      for (const command of Object.values(COMMANDS)) assert.ok(commands.includes(command), command);
      for (const command of ["allma.ask", "allma.search", "allma.status"]) {
        assert.ok(commands.includes(command), command);
      }
    });

    it("indexes the folder of the workspace", async () => {
      const [folder] = context.ctx.engine.status?.workspaces ?? [];
      assert.equal(folder?.path, project);
      assert.deepEqual([folder?.documents, folder?.skipped, folder?.failed], [5, 1, 1]);
    });

    it("shows in its tree why a file was skipped or failed", async () => {
      const [folder] = await context.documents.getChildren();
      const groups = await context.documents.getChildren(folder);
      const labels = groups.map((group) => context.documents.getTreeItem(group).label);
      assert.deepEqual(labels, ["Failed", "Skipped", "Indexed"]);
      for (const [group, name] of [
        [groups[0], "broken.pdf"],
        [groups[1], "empty.txt"],
      ] as const) {
        const [file] = await context.documents.getChildren(group);
        assert.ok(file);
        const item = context.documents.getTreeItem(file);
        assert.equal(path.basename(item.resourceUri?.fsPath ?? ""), name);
        assert.match(String(item.description), /\w/);
      }
    });

    it("shows in its tree what is being indexed, or why it is not", async () => {
      const [folder] = await context.documents.getChildren();
      assert.ok(folder?.kind === "workspace");
      const shown = (change: Partial<rpc.WorkspaceStatus>) => {
        const status = { ...folder.status, ...change };
        return context.documents.getTreeItem({ kind: "workspace", status }).description;
      };
      assert.equal(shown({ done: 3, total: 12 }), "indexing 3 of 12");
      assert.equal(shown({ reason: "The disk is full." }), "The disk is full.");
    });

    it("has a walkthrough whose pages and commands exist", async () => {
      const { extensionUri, packageJSON } = context.ctx.extension.extension;
      const commands = await vscode.commands.getCommands(true);
      for (const step of packageJSON.contributes.walkthroughs[0].steps) {
        await vscode.workspace.fs.stat(vscode.Uri.joinPath(extensionUri, step.media.markdown));
        for (const [, command] of step.description.matchAll(/\(command:([\w.]+)/g)) {
          assert.ok(commands.includes(command), command);
        }
      }
    });

    it("opens a source in its file, at its lines", async () => {
      const passage = await find("asked seven times", "retries.md");
      const editor = await openSource(context.ctx, passage);
      assert.equal(editor?.document.uri.fsPath, path.join(project, "docs", "retries.md"));
      assert.equal(editor?.selection.active.line, passage.startLine - 1);
      assert.ok(editor?.selection.isEmpty);
      assert.match(markedText(), /seven times/);
      await editor.edit((edit) => edit.insert(new vscode.Position(0, 0), "x"));
      assert.equal(markedText(), "");
      await vscode.commands.executeCommand("undo");
    });

    it("opens a source in a PDF as extracted text, where no viewer can open the page", async () => {
      const passage = await find("lighthouse keeper", "manual.pdf");
      assert.equal(passage.page, 2);
      const editor = await openSource(context.ctx, passage);
      assert.equal(editor?.document.uri.scheme, "allma");
      assert.match(markedText(), /Edda Holm/);
    });

    it("shows the source that was opened last, however quickly", async () => {
      const first = await find("asked seven times", "retries.md");
      const last = await find("next sailing minute", "harbor.py");
      const opened = [openSource(context.ctx, first), openSource(context.ctx, last)];
      assert.equal(await opened[0], undefined);
      assert.equal(path.basename((await opened[1])?.document.fileName ?? ""), "harbor.py");
      const shown = vscode.window.activeTextEditor?.document.fileName ?? "";
      assert.equal(path.basename(shown), "harbor.py");
    });

    it("says that no file matches, with a button for the documents", async () => {
      const note = searchRemark(await request(rpc.search, { query: "ferry", path: "*.nothing" }));
      assert.match(note?.text ?? "", /^No indexed file matches '\*\.nothing'/);
      assert.equal(note?.step?.action, "documents");
    });

    it("streams an answer before it is complete, with its sources", async function () {
      this.timeout(300 * SECONDS); // a small model often does not stop by itself
      const chunks: string[] = [];
      let sources = 0;
      const answered = await askWithProgress(
        context.ctx,
        { question: "When does a suspension in a storm end?" },
        (p) => {
          if (p.kind === "chunk") chunks.push(p.text);
          else if (p.kind === "sources") sources = p.citations.length;
        },
        new AbortController().signal,
      );
      assert.equal(answered.mode, "generated");
      assert.ok(chunks.length > 1, `${chunks.length} chunks`);
      assert.equal(sources, answered.citations.length);
      assert.ok(answered.citations.some((c) => c.passage.path.endsWith("retries.md")));
    });

    it("stops the model when an answer is stopped", async () => {
      const aborting = new AbortController();
      const asking = askWithProgress(
        context.ctx,
        { question: "Tell a long story about ferries.", useRag: false },
        (p) => p.kind === "chunk" && aborting.abort(),
        aborting.signal,
      );
      await assert.rejects(asking, (error) => isCancelled(error));
      const idle = await fetch(`${process.env.ALLMA_OLLAMA_URL}/test/idle`);
      assert.ok(idle.ok, "nothing is generated any more");
    });

    it("shows the server's failures and their next steps", async () => {
      await assert.rejects(request(rpc.conversationsShow, { id: "none" }), (error) => {
        assert.equal(failureOf(error).code, "conversation_not_found");
        return true;
      });
    });

    it("explains a selection through the server's code action", async () => {
      const document = await vscode.workspace.openTextDocument(path.join(project, "src/harbor.py"));
      await vscode.window.showTextDocument(document);
      const range = new vscode.Range(0, 0, 8, 0);
      const actions = await until(async () => {
        const found = await vscode.commands.executeCommand<vscode.CodeAction[]>(
          "vscode.executeCodeActionProvider",
          document.uri,
          range,
        );
        return found.filter((action) => action.title === "Ask Allma about this");
      });
      const explain = actions[0]?.command;
      assert.ok(explain);
      const running = vscode.commands.executeCommand(explain.command, ...(explain.arguments ?? []));
      await until(() => context.chat.session.snapshot().pending?.messageId);
      assert.match(context.chat.session.snapshot().pending?.question ?? "", /harbor\.py/);
      context.chat.session.stop();
      await running;
      assert.equal(context.chat.session.busy, false);
      assert.equal(context.chat.session.snapshot().turns[0]?.role, "user");
    });

    it("renames, exports and deletes a conversation", async () => {
      const id = context.chat.session.id;
      assert.ok(id);
      await request(rpc.conversationsRename, { id, title: "About the harbor" });
      await context.chat.session.reload();
      assert.equal(context.chat.session.title, "About the harbor");
      const listed = await context.conversations.getChildren();
      assert.ok(listed.some((c) => c !== "more" && c.title === "About the harbor"));
      await vscode.commands.executeCommand("allma.vscode.exportConversation");
      assert.match(vscode.window.activeTextEditor?.document.getText() ?? "", /About the harbor/);
      await request(rpc.conversationsDelete, { id });
      await context.chat.session.reload();
      assert.equal(context.chat.session.id, undefined);
    });

    it("answers as @allma, until it is stopped", async () => {
      const stopping = new vscode.CancellationTokenSource();
      const written: string[] = [];
      const places: vscode.Location[] = [];
      const stream = {
        markdown: (text: string) => {
          written.push(text);
          if (!text.includes("[")) stopping.cancel();
        },
        anchor: (place: vscode.Location) => places.push(place),
      } as unknown as vscode.ChatResponseStream;
      const say = (prompt: string, command?: string) =>
        answer(context.ctx, { prompt, command }, { history: [] }, stream, stopping.token);
      assert.equal((await say("retry limit", "search")).errorDetails, undefined);
      assert.ok(places.some((place) => place.uri.path.endsWith("retries.md")));
      assert.equal((await say("Which ferries are there?")).errorDetails, undefined);
      assert.ok(stopping.token.isCancellationRequested);
      assert.ok(written.join("").length > 0);
    });

    it("sends a changed setting to the server", async () => {
      const settings = vscode.workspace.getConfiguration("allma");
      await settings.update("topK", 1, vscode.ConfigurationTarget.Workspace);
      try {
        await until(async () => {
          const { passages } = await request(rpc.search, { query: "ferry" });
          return passages.length === 1;
        });
      } finally {
        await settings.update("topK", undefined, vscode.ConfigurationTarget.Workspace);
      }
    });

    it("indexes a file again when it is saved", async () => {
      const file = vscode.Uri.file(path.join(project, "docs", "crew.md"));
      const text = "# Crew\n\nThe purser of the Borealis is Tove Lindqvist.\n";
      await vscode.workspace.fs.writeFile(file, Buffer.from(text));
      await until(async () => {
        const { passages } = await request(rpc.search, { query: "Tove Lindqvist purser" });
        return passages[0]?.path === file.fsPath;
      }, 60 * SECONDS);
    });

    it("finds what is typed, until it is undone or its editor is closed", async () => {
      const file = vscode.Uri.file(path.join(project, "docs", "retries.md"));
      const unsaved = async (word: string) => {
        const { passages } = await request(rpc.search, { query: word });
        return passages.some((passage) => passage.unsaved && passage.text.includes(word));
      };
      const type = async (text: string) => {
        const editor = await vscode.window.showTextDocument(file);
        await editor.edit((edit) => edit.insert(new vscode.Position(0, 0), text));
      };
      await type("The heron is typed.\n");
      await until(() => unsaved("heron"));
      await vscode.commands.executeCommand("undo");
      await until(async () => !(await unsaved("heron")));
      await type("The stork is typed.\n");
      await until(() => unsaved("stork"));
      await vscode.commands.executeCommand("workbench.action.revertAndCloseActiveEditor");
      await until(async () => !(await unsaved("stork")));
    });

    it("leaves the list of symbols to the languages", async () => {
      const found = await vscode.commands.executeCommand<vscode.SymbolInformation[]>(
        "vscode.executeWorkspaceSymbolProvider",
        "silent ferry retry limit",
      );
      assert.deepEqual(found, []);
    });

    it("restarts once for many restart requests", async () => {
      await Promise.all([context.ctx.restart(), context.ctx.restart(), context.ctx.restart()]);
      assert.equal(context.ctx.connection.state, "ready");
      const passage = await find("asked seven times", "retries.md");
      assert.equal(sourceOf({ number: 1, passage, cited: true }).label, "retries.md");
    });

    it("shows its state in the status bar", () => {
      const engine = context.ctx.engine.summary;
      assert.ok(engine);
      const text = (...state: Parameters<typeof statusText>) => statusText(...state).text;
      assert.match(text({ state: "missing" }, null, null), /not installed/);
      const indexing = { ...engine, indexing: { done: 312, total: 585 } };
      assert.match(text({ state: "ready" }, indexing, null), /indexing 312\/585/);
      const alone = { ...engine, indexing: null, ollama: NO_OLLAMA };
      assert.match(text({ state: "ready" }, alone, null), /Ollama not running/);
    });

    it("explains a search: rank and outcome of each passage", async () => {
      const text = explanationText(
        await request(rpc.explain, { query: "silent ferry retry limit" }),
      );
      assert.match(text, /^# Search explained: silent ferry retry limit/);
      assert.match(text, /dense \| lexical/);
      assert.match(text, /docs\/retries\.md, \d+–\d+.*\*\*shown\*\*/);
    });

    it("explains why the place of a passage raised its score", async () => {
      const text = explanationText(
        await request(rpc.explain, { query: "where is next_sailing defined" }),
      );
      assert.match(text, /src\/harbor\.py.*\*\*shown\*\*; raised: defines what is asked for/);
      assert.match(text, /\d+% of the rescored passages are code/);
    });

    it("describes reports, diagnoses and times in words", async () => {
      const counts = { indexed: 0, updated: 0, unchanged: 0, removed: 0, chunks: 0, seconds: 1 };
      const nothing = { ...counts, notice: null };
      const report = { ...nothing, indexed: 2, skipped: [{ path: "a", reason: "b" }], failed: [] };
      assert.equal(reportText(report), "2 indexed, 1 skipped in 1.0 s.");
      assert.match(diagnosisText(await request(rpc.doctor, {})), /# Allma: doctor/);
      assert.equal(ago("2026-01-01T00:00:00Z", Date.parse("2026-01-03T01:00:00Z")), "2d ago");
    });
  });
}

/** Waits until a condition holds; returns its value. */
async function until<T>(condition: () => T | Promise<T>, timeout = 60 * SECONDS): Promise<T> {
  const end = Date.now() + timeout;
  for (;;) {
    const value = await condition();
    if (Array.isArray(value) ? value.length : value) return value;
    if (Date.now() > end) throw new Error(`not in ${timeout} ms: ${condition}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
