/** Where the words of a query are in a text. */

/** A pattern for the words of a query; null if it has none. */
export function wordPattern(query: string): RegExp | null {
  const words = [...new Set(query.match(/[\p{L}\p{N}_]{2,}/gu) ?? [])];
  return words.length ? new RegExp(words.join("|"), "giu") : null;
}

/** The part of a text, of about this length, that begins shortly before the first word. */
export function excerptOf(text: string, query: string, length: number, before = 60): string {
  const pattern = wordPattern(query);
  const first = pattern ? text.search(pattern) : 0;
  const start = first > length - before ? first - before : 0;
  const end = start + length;
  return `${start > 0 ? "…" : ""}${text.slice(start, end)}${end < text.length ? "…" : ""}`;
}
