/** Search as you type, with the passage the cursor is on shown behind. */
import * as vscode from "vscode";
import { basename, placeOf } from "../chat/messages";
import { COMMANDS, noteOn, type Remark } from "../chat/steps";
import type { Ctx } from "../ctx";
import type { Parts } from "../extension";
import { openPlace, returnTo } from "../open";
import * as rpc from "../protocol";
import { type Choice, type Note, pickAsYouType } from "./pick";

const EXPLAIN: vscode.QuickInputButton = {
  iconPath: new vscode.ThemeIcon("question"),
  tooltip: "Why these passages?",
};

export const search =
  ({ ctx }: Parts) =>
  async (query?: string) => {
    const before = vscode.window.activeTextEditor;
    const position = before?.selection;
    const preview = new Preview(ctx);
    let toExplain: string | undefined;
    const chosen = await pickAsYouType<rpc.Passage>({
      title: "Search with Allma",
      placeholder: "Words, a question, a symbol",
      query: typeof query === "string" ? query : selectedWords(before),
      find: async (text, token) => {
        if (!text.trim()) return { choices: [] };
        const found = await ctx.request(rpc.search, { query: text, topK: 20 }, token);
        return { choices: found.passages.map(choice), note: noteItem(noteOn(found), text) };
      },
      preview: (passage) => preview.show(passage),
      titleButton: EXPLAIN,
      onTitleButton: (text) => {
        toExplain = text;
      },
    });
    preview.dispose();
    if (chosen) await openPlace(ctx, chosen);
    else if (before && preview.used) await returnTo(before, position);
    if (toExplain) await vscode.commands.executeCommand("allma.vscode.explain", toExplain);
  };

/** Shows one passage at a time; the last one asked for wins. */
class Preview implements vscode.Disposable {
  used = false;
  private wanted: rpc.Passage | undefined;
  private ended = false;

  constructor(private readonly ctx: Ctx) {}

  dispose(): void {
    this.ended = true;
  }

  async show(passage: rpc.Passage): Promise<void> {
    const isShowing = this.wanted !== undefined;
    this.wanted = passage;
    if (isShowing) return;
    while (this.wanted && !this.ended) {
      const next: rpc.Passage = this.wanted;
      this.used = true;
      try {
        // Without a page a PDF is shown as its text: a viewer outside would steal the focus.
        const place = { ...next, page: null };
        await openPlace(this.ctx, place, {
          preview: true,
          preserveFocus: true,
          extracted: next.page !== null,
        });
      } catch (error) {
        this.ctx.log.debug(`No preview of ${next.path}: ${error}`);
      }
      if (this.wanted === next) this.wanted = undefined;
    }
    this.wanted = undefined;
  }
}

function noteItem(remark: Remark | null, query: string): Note | undefined {
  if (!remark?.text) return undefined;
  const { text, step } = remark;
  const given = step?.action === "explain" ? [query] : [];
  return {
    label: `$(info) ${text}`,
    detail: step?.label,
    run: step ? () => vscode.commands.executeCommand(COMMANDS[step.action], ...given) : undefined,
  };
}

function choice(passage: rpc.Passage): Choice<rpc.Passage> {
  const folder = vscode.workspace.asRelativePath(passage.path).replace(/[\\/]?[^\\/]+$/, "");
  return {
    label: `${basename(passage.path)}  $(dash)  ${placeOf(passage)}`,
    description: [folder, passage.heading.join(" › ")].filter(Boolean).join("  ·  "),
    detail: passage.text.replace(/\s+/g, " ").trim().slice(0, 200),
    value: passage,
  };
}

function selectedWords(editor: vscode.TextEditor | undefined): string {
  if (!editor?.selection.isSingleLine) return "";
  return editor.document.getText(editor.selection).trim();
}
