/** What is dropped on the input or pasted into it: files as URIs or as texts, and long texts. */

export interface Transferred {
  /** Files and folders of this machine. */
  uris: string[];
  files: File[];
}

/** A longer pasted text is attached instead of typed. */
const LONG_LINES = 30;
const LONG_CHARACTERS = 4_000;
/** Texts are part of the question, which has to fit into a model's context. */
const LARGEST = 64_000;

/** An editor gives the URIs of its files; a browser gives their contents only. */
export function transferred(data: DataTransfer | null): Transferred {
  const list = data?.getData("application/vnd.code.uri-list") || data?.getData("text/uri-list");
  const uris = (list ?? "").split(/\r?\n/).filter((line) => /^(file|vscode-remote):/.test(line));
  return { uris, files: uris.length ? [] : [...(data?.files ?? [])] };
}

export function isLong(text: string): boolean {
  return text.length > LONG_CHARACTERS || text.split("\n").length > LONG_LINES;
}

export function pastedLabel(text: string): string {
  const lines = text.trimEnd().split("\n").length;
  return `Pasted text, ${lines === 1 ? "1 line" : `${lines.toLocaleString("en")} lines`}`;
}

/**
 * The text of a file.
 *
 * @throws Error that says why it cannot be attached.
 */
export async function textOf(file: File): Promise<string> {
  if (file.size > LARGEST) {
    throw new Error(`${file.name} is too large to attach. Index it, and ask about it with @.`);
  }
  const text = await file.text();
  if (/[\0\uFFFD]/.test(text)) {
    throw new Error(`${file.name} is not a text. Index it, and ask about it with @.`);
  }
  return text;
}
