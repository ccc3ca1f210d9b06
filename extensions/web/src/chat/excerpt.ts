/** Where the words of a query are in a text. */

/** A pattern for the words of a query; null if it has none. */
export function wordPattern(query: string): RegExp | null {
  const words = [...new Set(query.match(/[\p{L}\p{N}_]{2,}/gu) ?? [])];
  return words.length ? new RegExp(words.join("|"), "giu") : null;
}

/** The part of a text, of about this length, that has most of the words, with a bit before them. */
export function excerptOf(text: string, query: string, length: number, before = 60): string {
  const first = firstOfMost(text, wordPattern(query), length - before);
  const start = first > length - before ? first - before : 0;
  const end = start + length;
  return `${start > 0 ? "…" : ""}${text.slice(start, end)}${end < text.length ? "…" : ""}`;
}

/** Where most different words are closest together, within a length; 0 without any. */
function firstOfMost(text: string, pattern: RegExp | null, length: number): number {
  const found = pattern ? [...text.matchAll(pattern)] : [];
  let best = { index: 0, words: 0, span: 0 };
  for (const [at, { index }] of found.entries()) {
    const near = found.slice(at).filter((each) => each.index < index + length);
    const firsts = new Map(near.reverse().map((each) => [each[0].toLowerCase(), each.index]));
    const span = Math.max(...firsts.values()) - index;
    const isCloser = firsts.size === best.words && span < best.span;
    if (firsts.size > best.words || isCloser) best = { index, words: firsts.size, span };
  }
  return best.index;
}
