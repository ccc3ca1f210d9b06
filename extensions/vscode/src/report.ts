/** Markdown pages of the extension, shown rendered. */
import * as vscode from "vscode";

const SCHEME = "allma-report";

export class Report implements vscode.TextDocumentContentProvider {
  private readonly texts = new Map<string, string>();
  private readonly changed = new vscode.EventEmitter<vscode.Uri>();
  readonly onDidChange = this.changed.event;
  readonly registration = vscode.Disposable.from(
    this.changed,
    vscode.workspace.registerTextDocumentContentProvider(SCHEME, this),
  );

  provideTextDocumentContent(uri: vscode.Uri): string {
    return this.texts.get(uri.path) ?? "";
  }

  async show(title: string, markdown: string): Promise<void> {
    const uri = vscode.Uri.from({ scheme: SCHEME, path: `/${title}.md` });
    this.texts.set(uri.path, markdown);
    this.changed.fire(uri);
    // The ordinary Markdown preview would follow the active editor.
    await vscode.commands.executeCommand("vscode.openWith", uri, "vscode.markdown.preview.editor");
  }
}
