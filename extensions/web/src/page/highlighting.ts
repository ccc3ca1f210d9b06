/** Marks the words of a query in a text, and begins the text near the first of them. */
import { excerptOf, wordPattern } from "../chat/excerpt";
import { h } from "../view/dom";

const SHOWN = 420;

export function marked(text: string, query: string): (Node | string)[] {
  const shown = excerptOf(text, query, SHOWN);
  const pattern = wordPattern(query);
  const parts: (Node | string)[] = [];
  let end = 0;
  for (const match of pattern ? shown.matchAll(pattern) : []) {
    parts.push(shown.slice(end, match.index), h("mark", {}, match[0]));
    end = match.index + match[0].length;
  }
  return [...parts, shown.slice(end)];
}
