/**
 * Renders a model's Markdown as safe HTML: raw HTML stays text, images are not loaded, only web
 * and mail links work. `[2]` becomes a button for source 2.
 */
import MarkdownIt from "markdown-it";
import type { Source } from "../chat/messages";
import { highlight } from "./highlight";

const md = new MarkdownIt({ html: false, linkify: true, highlight });
const { escapeHtml } = md.utils;
md.disable("image");
md.validateLink = (url) => /^(https?|mailto):/i.test(url);

md.inline.ruler.before("link", "cite", (state, silent) => {
  const mark = /^\[(\d{1,3})\](?!\()/.exec(state.src.slice(state.pos, state.pos + 6));
  if (!mark?.[1]) return false;
  if (!silent) state.push("cite", "", 0).content = mark[1];
  state.pos += mark[0].length;
  return true;
});

md.renderer.rules.cite = (tokens, index, _options, env) => {
  const number = tokens[index]?.content ?? "";
  const sources = (env?.sources as readonly Source[] | undefined) ?? [];
  const source = sources.find((s) => s.number === Number(number));
  if (!source) return `<span class="cite">${number}</span>`;
  const name = escapeHtml(`Source ${number}: ${source.label}, ${source.location}`);
  return `<button type="button" class="cite" data-source="${number}" aria-label="${name}">${number}</button>`;
};

md.renderer.rules.fence = (tokens, index) => {
  const token = tokens[index];
  return codeBlock(token?.content ?? "", token?.info.trim().split(/\s+/)[0] ?? "");
};
md.renderer.rules.code_block = (tokens, index) => codeBlock(tokens[index]?.content ?? "", "");
// A style attribute would be refused by a strict policy for styles.
for (const cell of ["th_open", "td_open"]) {
  md.renderer.rules[cell] = (tokens, index) => {
    const align = /text-align:(\w+)/.exec(String(tokens[index]?.attrGet("style") ?? ""))?.[1];
    return `<${cell.slice(0, 2)}${align ? ` class="${align}"` : ""}>`;
  };
}
md.renderer.rules.table_open = () => '<div class="table" tabindex="0"><table>';
md.renderer.rules.table_close = () => "</table></div>";

function codeBlock(code: string, language: string): string {
  const body = highlight(code, language.toLowerCase()) || escapeHtml(code);
  const button = (action: string, icon: string, label: string) =>
    `<button type="button" class="icon" data-code="${action}" title="${label}" aria-label="${label}"><span class="codicon codicon-${icon}" aria-hidden="true"></span></button>`;
  return `<div class="code"><div class="code-bar"><span>${escapeHtml(language)}</span>${button("copy", "copy", "Copy this code")}${button("insert", "insert", "Insert at the cursor")}</div><pre tabindex="0"><code>${body}</code></pre></div>`;
}

/**
 * Renders each block separately, so that streaming text changes only the last blocks.
 * `breaks`: keep the line breaks of the text, as in a typed question.
 */
export function renderBlocks(text: string, sources: readonly Source[], breaks = false): string[] {
  md.set({ breaks });
  const env = { sources };
  const tokens = md.parse(text, env);
  const blocks: string[] = [];
  let depth = 0;
  let start = 0;
  tokens.forEach((token, index) => {
    depth += token.nesting;
    if (depth > 0) return;
    blocks.push(md.renderer.render(tokens.slice(start, index + 1), md.options, env));
    start = index + 1;
  });
  return blocks;
}

/** Shows blocks in an element. Unchanged blocks are kept, so that a selection in them survives. */
export function showBlocks(element: HTMLElement, blocks: readonly string[]): void {
  blocks.forEach((html, index) => {
    const shown = element.children[index] as HTMLElement | undefined;
    if (shown?.dataset.html === html) return;
    const block = document.createElement("div");
    block.innerHTML = html;
    block.dataset.html = html;
    if (shown) shown.replaceWith(block);
    else element.append(block);
  });
  while (element.children.length > blocks.length) element.lastElementChild?.remove();
}
