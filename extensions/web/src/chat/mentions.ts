/** What can be completed in a question: files and folders to answer from, and commands. */
import type { DocumentPage, DocumentRow, WorkspaceStatus } from "../protocol";
import { basename, type Mention } from "./messages";

/** What is being typed before the cursor; `start` is the offset of its sign. */
export interface Trigger {
  kind: "mention" | "command" | "model";
  query: string;
  start: number;
}

/** `@word` and `#word` are mentions anywhere, `/word` is a command at the beginning. */
export function triggerAt(text: string, cursor: number): Trigger | null {
  const before = text.slice(0, cursor);
  const command = /^\/(\w*)$/.exec(before);
  if (command) return { kind: "command", query: command[1] ?? "", start: 0 };
  const model = /^\/model (\S*)$/.exec(before);
  if (model) return { kind: "model", query: model[1] ?? "", start: 0 };
  const mention = /(?:^|\s)[@#]([^\s@#]*)$/.exec(before);
  if (!mention) return null;
  const query = mention[1] ?? "";
  return { kind: "mention", query, start: cursor - query.length - 1 };
}

const SHOWN = 12;
const ROWS = 1000;
const PAGES = 20;

interface Entry {
  kind: "file" | "folder";
  path: string;
  /** Relative to the indexed folder, with the name of that folder in front. */
  shown: string;
  name: string;
}

/** The indexed files and their folders, loaded when they are needed first. */
export class IndexedPaths {
  private entries: Promise<Entry[]> = Promise.resolve([]);
  private version: string | undefined;

  constructor(
    private readonly page: (cursor: string | undefined, limit: number) => Promise<DocumentPage>,
  ) {}

  /** The best matches. `preference`: which comes first among equals, from 0 to below 1. */
  async find(
    query: string,
    workspaces: readonly WorkspaceStatus[],
    preference: (path: string) => number = () => 0,
  ): Promise<Mention[]> {
    const version = JSON.stringify(workspaces.map((w) => [w.path, w.documents, w.chunks]));
    if (version !== this.version) {
      this.version = version;
      this.entries = this.load();
      this.entries.catch(() => {
        this.version = undefined;
      });
    }
    return bestOf(await this.entries, query, preference).map(({ kind, path, name, shown }) => ({
      kind,
      path,
      label: kind === "folder" ? `${name}/` : name,
      detail: shown.slice(0, Math.max(0, shown.length - name.length - 1)),
    }));
  }

  private async load(): Promise<Entry[]> {
    const rows: DocumentRow[] = [];
    let cursor: string | undefined;
    for (let page = 0; page < PAGES; page++) {
      const { documents, nextCursor } = await this.page(cursor, ROWS);
      rows.push(...documents);
      cursor = nextCursor ?? undefined;
      if (!cursor) break;
    }
    return entriesOf(rows);
  }
}

function entriesOf(rows: readonly Pick<DocumentRow, "path" | "workspace">[]): Entry[] {
  const found = new Map<string, Entry>();
  const add = (kind: Entry["kind"], path: string, workspace: string) => {
    const shown = basename(workspace) + path.slice(workspace.length).replaceAll("\\", "/");
    found.set(path, { kind, path, shown, name: basename(path) });
  };
  for (const { path, workspace } of rows) {
    let folder = path.replace(/[\\/][^\\/]*$/, "");
    while (folder.length >= workspace.length && !found.has(folder)) {
      add("folder", folder, workspace);
      folder = folder.replace(/[\\/][^\\/]*$/, "");
    }
    add("file", path, workspace);
  }
  return [...found.values()];
}

function bestOf(
  entries: readonly Entry[],
  query: string,
  preference: (path: string) => number,
): Entry[] {
  const wanted = query.toLowerCase().replaceAll("\\", "/");
  const ranked: [rank: number, entry: Entry][] = [];
  for (const entry of entries) {
    const rank = rankOf(entry, wanted);
    if (rank !== null) ranked.push([rank - preference(entry.path), entry]);
  }
  ranked.sort(
    ([a, x], [b, y]) => a - b || x.shown.length - y.shown.length || (x.shown < y.shown ? -1 : 1),
  );
  return ranked.slice(0, SHOWN).map(([, entry]) => entry);
}

/** 0 is best; null does not match. */
function rankOf({ name, shown }: Entry, query: string): number | null {
  const lower = name.toLowerCase();
  if (query === "" || lower.startsWith(query)) return 0;
  if (lower.includes(query)) return 1;
  const path = shown.toLowerCase();
  if (`${path}/`.includes(query)) return 2;
  return isSubsequence(query, lower) ? 3 : null;
}

function isSubsequence(query: string, text: string): boolean {
  let at = 0;
  for (const sign of query) {
    at = text.indexOf(sign, at) + 1;
    if (at === 0) return false;
  }
  return true;
}
