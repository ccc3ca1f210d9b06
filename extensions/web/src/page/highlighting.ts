/** Marks the words of a query in a text, and begins the text near the first of them. */
const SHOWN = 420;
const BEFORE = 60;

export function marked(text: string, query: string): (Node | string)[] {
  const words = [...new Set(query.match(/[\p{L}\p{N}_]{2,}/gu) ?? [])];
  const pattern = words.length ? new RegExp(`(?:${words.join("|")})`, "giu") : /$^/g;
  const first = text.search(pattern);
  const start = first > SHOWN - BEFORE ? first - BEFORE : 0;
  const shown = text.slice(start, start + SHOWN);
  const parts: (Node | string)[] = start > 0 ? ["…"] : [];
  let end = 0;
  for (const match of shown.matchAll(pattern)) {
    if (match[0] === "") continue;
    const mark = document.createElement("mark");
    mark.textContent = match[0];
    parts.push(shown.slice(end, match.index), mark);
    end = match.index + match[0].length;
  }
  parts.push(shown.slice(end));
  if (start + SHOWN < text.length) parts.push("…");
  return parts;
}
