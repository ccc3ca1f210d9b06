/** Python environments of the workspace, from the Python extension and from disk. */
import * as path from "node:path";
import * as vscode from "vscode";

/** The part of the Python extension's public API that is used here. */
interface PythonApi {
  environments: {
    getActiveEnvironmentPath(resource?: vscode.Uri): { path: string };
    onDidChangeActiveEnvironmentPath: vscode.Event<unknown>;
  };
}

async function pythonApi(): Promise<PythonApi | undefined> {
  const extension = vscode.extensions.getExtension<PythonApi>("ms-python.python");
  if (!extension) return undefined;
  return extension.isActive ? extension.exports : await extension.activate();
}

/** Interpreters and environment folders, the active one first; none in an untrusted workspace. */
export async function environments(): Promise<string[]> {
  if (!vscode.workspace.isTrusted) return [];
  const folders = vscode.workspace.workspaceFolders ?? [];
  const active = (await pythonApi())?.environments.getActiveEnvironmentPath(folders[0]?.uri).path;
  const local = folders.flatMap((f) => [".venv", "venv"].map((v) => path.join(f.uri.fsPath, v)));
  return [...(active && path.isAbsolute(active) ? [active] : []), ...local];
}

/** Calls `changed` when another environment is selected. */
export async function onDidChangeEnvironment(changed: () => void): Promise<vscode.Disposable> {
  const api = await pythonApi();
  return api?.environments.onDidChangeActiveEnvironmentPath(changed) ?? { dispose() {} };
}
