/** The command that searches as you type, with a preview of the active result. */

import { excerptOf } from "@allma/web/chat/excerpt";
import { basename, locationLabel } from "@allma/web/chat/messages";
import { type Remark, searchRemark } from "@allma/web/chat/steps";
import * as vscode from "vscode";
import { COMMANDS } from "../actions";
import type { Ctx } from "../ctx";
import { openSource, returnTo } from "../open";
import * as rpc from "../protocol";
import type { CommandContext } from "./context";
import { type Choice, type PickNote, pickAsYouType } from "./pick";

const EXPLAIN: vscode.QuickInputButton = {
  iconPath: new vscode.ThemeIcon("question"),
  tooltip: "Why these passages?",
};

export const search =
  ({ ctx }: CommandContext) =>
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
        const choices = found.passages.map((passage) => choice(passage, text));
        return { choices, note: noteItem(searchRemark(found), text) };
      },
      preview: (passage, text) => preview.show(passage, text),
      titleButton: EXPLAIN,
      onTitleButton: (text) => {
        toExplain = text;
      },
    });
    preview.dispose();
    if (chosen) await openSource(ctx, chosen, { query: preview.query });
    else if (before && preview.used) {
      ctx.marks.clear();
      await returnTo(before, position);
    }
    if (toExplain) await vscode.commands.executeCommand("allma.vscode.explain", toExplain);
  };

/** Previews one passage at a time; skips those that were replaced before they opened. */
class Preview implements vscode.Disposable {
  used = false;
  query = "";
  private wanted: rpc.Passage | undefined;
  private ended = false;

  constructor(private readonly ctx: Ctx) {}

  dispose(): void {
    this.ended = true;
  }

  async show(passage: rpc.Passage, query: string): Promise<void> {
    this.query = query;
    const isShowing = this.wanted !== undefined;
    this.wanted = passage;
    if (isShowing) return;
    while (this.wanted && !this.ended) {
      const next: rpc.Passage = this.wanted;
      this.used = true;
      try {
        // Preview a PDF as extracted text: an external viewer would take the focus.
        const place = { ...next, page: null };
        await openSource(this.ctx, place, {
          preview: true,
          preserveFocus: true,
          extracted: next.page !== null,
          query: this.query,
        });
      } catch (error) {
        this.ctx.log.debug(`No preview of ${next.path}: ${error}`);
      }
      if (this.wanted === next) this.wanted = undefined;
    }
    this.wanted = undefined;
  }
}

function noteItem(remark: Remark | null, query: string): PickNote | undefined {
  if (!remark?.text) return undefined;
  const { text, step } = remark;
  const given = step?.action === "explain" ? [query] : [];
  return {
    label: `$(info) ${text}`,
    detail: step?.label,
    run: step ? () => vscode.commands.executeCommand(COMMANDS[step.action], ...given) : undefined,
  };
}

function choice(passage: rpc.Passage, query: string): Choice<rpc.Passage> {
  const folder = vscode.workspace.asRelativePath(passage.path).replace(/[\\/]?[^\\/]+$/, "");
  return {
    label: `${basename(passage.path)}  $(dash)  ${locationLabel(passage)}`,
    description: [folder, passage.heading.join(" › ")].filter(Boolean).join("  ·  "),
    detail: excerptOf(passage.text.replace(/\s+/g, " ").trim(), query, 120, 40),
    value: passage,
  };
}

function selectedWords(editor: vscode.TextEditor | undefined): string {
  if (!editor?.selection.isSingleLine) return "";
  return editor.document.getText(editor.selection).trim();
}
