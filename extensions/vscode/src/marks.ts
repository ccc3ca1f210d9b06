/** Marks the source that was opened last in its editor, until the user goes on there. */
import { wordPattern } from "@allma/web/chat/excerpt";
import * as vscode from "vscode";

const { Keyboard, Mouse } = vscode.TextEditorSelectionChangeKind;

export class SourceMarks implements vscode.Disposable {
  /** What is marked. */
  shown: { editor: vscode.TextEditor; range: vscode.Range } | undefined;
  private readonly lines = vscode.window.createTextEditorDecorationType({
    isWholeLine: true,
    backgroundColor: new vscode.ThemeColor("editor.rangeHighlightBackground"),
    overviewRulerColor: new vscode.ThemeColor("editorOverviewRuler.rangeHighlightForeground"),
    overviewRulerLane: vscode.OverviewRulerLane.Full,
    // High-contrast themes have no background for ranges.
    borderColor: new vscode.ThemeColor("editorOverviewRuler.rangeHighlightForeground"),
    borderStyle: "solid",
    borderWidth: "0 0 0 3px",
  });
  private readonly words = vscode.window.createTextEditorDecorationType({
    backgroundColor: new vscode.ThemeColor("editor.findMatchHighlightBackground"),
    fontWeight: "bold",
  });
  private readonly disposables = [
    this.lines,
    this.words,
    vscode.workspace.onDidChangeTextDocument(({ document, contentChanges }) => {
      if (document === this.shown?.editor.document && contentChanges.length) this.clear();
    }),
    vscode.window.onDidChangeTextEditorSelection(({ textEditor, kind }) => {
      const isByUser = kind === Keyboard || kind === Mouse;
      if (textEditor === this.shown?.editor && isByUser) this.clear();
    }),
  ];

  dispose(): void {
    for (const disposable of this.disposables) disposable.dispose();
  }

  /** Marks the lines of a range, and the words of a query in it. */
  show(editor: vscode.TextEditor, range: vscode.Range, query = ""): void {
    this.clear();
    this.shown = { editor, range };
    editor.setDecorations(this.lines, [range]);
    editor.setDecorations(this.words, wordsIn(editor.document, range, query));
  }

  clear(): void {
    this.shown?.editor.setDecorations(this.lines, []);
    this.shown?.editor.setDecorations(this.words, []);
    this.shown = undefined;
  }
}

function wordsIn(
  document: vscode.TextDocument,
  range: vscode.Range,
  query: string,
): vscode.Range[] {
  const pattern = wordPattern(query);
  if (!pattern) return [];
  const start = document.offsetAt(range.start);
  return [...document.getText(range).matchAll(pattern)].map(({ index, 0: word }) => {
    const at = document.positionAt(start + index);
    return new vscode.Range(at, at.translate(0, word.length));
  });
}
