/** The command that explains a search, stage by stage, as a Markdown page. */

import { locationLabel } from "@allma/web/chat/messages";
import { Latest } from "@allma/web/latest";
import * as vscode from "vscode";
import * as rpc from "../protocol";
import type { CommandContext } from "./context";

/** All explanations share one page, so only the latest request may fill it. */
const explaining = new Latest();

export const explain =
  ({ ctx, report }: CommandContext) =>
  async (given?: string) => {
    const query =
      given ??
      (await vscode.window.showInputBox({
        title: "Explain a Search",
        prompt: "The query to explain",
        placeHolder: "Words, a question, a symbol",
      }));
    if (!query?.trim()) return;
    const isLatest = explaining.begin();
    const explanation = await ctx.request(rpc.explain, { query });
    if (isLatest()) await report.show("Search explained", explanationText(explanation));
  };

const LISTS = ["dense", "lexical", "fused", "rescored", "reranked"] as const;

/** Outcomes whose name alone is not clear. */
const OUTCOMES: Record<string, string> = {
  shown: "**shown**",
  joined: "joined to an adjacent passage",
  below_threshold: "below the score threshold",
  repeats: "duplicate of a passage above",
  overlaps: "overlaps a passage above",
  same_document: "enough passages of the same document",
  over_limit: "beyond the limit of passages",
};

/** Rank and score of each rescored passage after each stage; the other candidates are counted. */
export function explanationText(explanation: rpc.Explanation): string {
  const { candidates, query, notice } = explanation;
  const read = candidates.filter((candidate) => candidate.outcome !== "not_rescored");
  const lists = LISTS.filter((list) => read.some((candidate) => candidate[list]));
  const facts = [...searched(explanation), notice];
  const head = ["", "passage", ...lists, "outcome"];
  const rows = read.map((candidate, index) => [
    String(index + 1),
    passageText(candidate.passage),
    ...lists.map((list) => rankText(candidate[list])),
    outcomeText(candidate),
  ]);
  const table = [head, head.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |`);
  const unread = candidates.length - read.length;
  return [
    `# Search explained: ${escaped(query)}`,
    escaped(facts.filter(Boolean).join(" ")),
    rows.length ? table.join("\n") : !notice && "No passage matches.",
    rows.length && "Each cell is the passage's rank in that list, and its score there.",
    unread > 0 && `${unread} more candidates were ranked too low to be rescored.`,
  ]
    .filter(Boolean)
    .join("\n\n");
}

/** How the query was searched, in sentences. */
function searched(explanation: rpc.Explanation): (string | false | null)[] {
  const { terms, phrases, prefixes, similar, stopWords, reranker, knowledge, code } = explanation;
  const words = [
    ...terms,
    ...phrases.map((phrase) => `“${phrase}”`),
    ...prefixes.map((prefix) => `${prefix}*`),
  ];
  return [
    `Semantic search${words.length ? `, and keyword search for ${words.join(", ")}` : ""}.`,
    stopWords.length > 0 && `Ignored as too common: ${stopWords.join(", ")}.`,
    similar.length > 0 && `In no document, so similar words count: ${similar.join(", ")}.`,
    knowledge < 1 &&
      `The embedder does not know the language of this query well: its scores count ${percent(knowledge)}.`,
    code > 0 && `${percent(code)} of the rescored passages are code: meaning counts more.`,
    reranker && `Reranked by ${reranker}.`,
  ];
}

/** The outcome of a candidate, and what else raised or lowered its score. */
function outcomeText(candidate: rpc.Candidate): string {
  return [
    OUTCOMES[candidate.outcome] ?? candidate.outcome.replaceAll("_", " "),
    candidate.raised && `raised: ${candidate.raised}`,
    candidate.inherits && "only headings have the words",
  ]
    .filter(Boolean)
    .join("; ");
}

function percent(share: number): string {
  return `${Math.round(share * 100)}%`;
}

function rankText(ranked: rpc.RankedScore | null): string {
  return ranked ? `${ranked.rank} (${ranked.score.toFixed(2)})` : "–";
}

function passageText(passage: rpc.Passage): string {
  const heading = passage.heading.length ? `<br>${escaped(passage.heading.join(" › "))}` : "";
  const name = escaped(vscode.workspace.asRelativePath(passage.path));
  return `${name}, ${locationLabel(passage)}${heading}`;
}

/** Escapes text for Markdown and its tables. */
function escaped(text: string): string {
  return text.replace(/[\\`*_[\]<>|#]/g, "\\$&").replace(/\s+/g, " ");
}
