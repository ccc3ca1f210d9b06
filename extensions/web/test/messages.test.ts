import { expect, test } from "vitest";
import {
  basename,
  locationLabel,
  noticeRemarks,
  remarksFor,
  sourceOf,
  withSelections,
} from "../src/chat/messages";
import type { Answer } from "../src/protocol";

const SELECTION = {
  kind: "selection",
  path: "/w/a.md",
  label: "a.md, lines 1–2",
  startLine: 1,
  endLine: 2,
  language: "markdown",
  text: "```py\nx\n```",
} as const;

test("a selection is fenced so that its own fences cannot end it", () => {
  expect(withSelections("What is this?", [SELECTION])).toBe(
    "What is this?\n\na.md, lines 1–2:\n````markdown\n```py\nx\n```\n````",
  );
});

test("the scope of a question is not part of its text", () => {
  expect(withSelections(" Why? ", [{ kind: "scope", path: "/w/docs", label: "docs" }])).toBe(
    "Why?",
  );
});

test.each([
  [{ page: 3, startLine: 1, endLine: 9 }, "p. 3"],
  [{ page: null, startLine: 4, endLine: 4 }, "4"],
  [{ page: null, startLine: 4, endLine: 7 }, "4–7"],
])("a location is short: %o", (location, text) => {
  expect(locationLabel(location)).toBe(text);
});

test.each(["/w/docs/", "C:\\w\\docs", "docs"])("the name of %s is its last part", (path) => {
  expect(basename(path)).toBe("docs");
});

test("a source from the history knows whether the answer cites it", () => {
  const stored = {
    number: 2,
    documentId: 1,
    chunkId: 1,
    relevanceScore: 0.5,
    path: "/w/a.md",
    startLine: 1,
    endLine: 2,
    page: null,
    heading: ["A", "B"],
    text: "…",
    unsaved: true,
  };
  expect(sourceOf(stored, "See [2].")).toMatchObject({
    cited: true,
    heading: "A › B",
    unsaved: true,
  });
  expect(sourceOf(stored, "See [1].").cited).toBe(false);
});

const ANSWER = {
  text: "Because [1].",
  citations: [{ number: 1 }],
  mode: "generated",
  stats: { truncated: false },
  notice: null,
  noticeCode: null,
  grounding: "cited",
} as unknown as Answer;

test.each([
  ["indexing", "Indexing is in progress (312 of 585 files); results may be incomplete.", "status"],
  ["nothing_indexed", "No documents indexed.", "ingest"],
  ["no_match_for_path", "No indexed file matches '*.nothing'.", "documents"],
  ["embedder_unavailable", "Keyword search only: Ollama is not running.", "doctor"],
  ["full_text_down", "Keyword search is being rebuilt.", "doctor"],
] as const)(
  "an answer limited by %s says so, with the step that helps",
  (noticeCode, notice, action) => {
    const remarks = noticeRemarks({ ...ANSWER, notice, noticeCode });
    expect(remarks).toMatchObject([{ text: notice, step: { action } }]);
  },
);

test("an answer that contains the notice has only the button", () => {
  const nothing: Answer = { ...ANSWER, citations: [], grounding: "none", mode: "passages_only" };
  expect(noticeRemarks({ ...nothing, noticeCode: "nothing_indexed" })).toMatchObject([
    { text: null, step: { action: "ingest" } },
  ]);
});

test("an answer without any passage has a button for the documents", () => {
  const nothing: Answer = { ...ANSWER, citations: [], grounding: "declined" };
  expect(noticeRemarks(nothing)).toMatchObject([{ text: null, step: { action: "documents" } }]);
});

test("neither a declined answer with passages nor a good answer has a button", () => {
  expect(noticeRemarks({ ...ANSWER, grounding: "declined" })).toEqual([]);
  expect(noticeRemarks(ANSWER)).toEqual([]);
});

test("a notice without a code is still shown", () => {
  const notice = "The reranker was too slow.";
  expect(noticeRemarks({ ...ANSWER, notice })).toEqual([{ text: notice, step: null }]);
  expect(remarksFor({ ...ANSWER, grounding: "uncited" })).toMatchObject([{ step: null }]);
});

test("a cut-off answer that reached its limit says so once", () => {
  const cut: Answer = {
    ...ANSWER,
    grounding: "cut_off",
    stats: { ...ANSWER.stats, truncated: true },
  };
  expect(remarksFor(cut)).toHaveLength(1);
});
