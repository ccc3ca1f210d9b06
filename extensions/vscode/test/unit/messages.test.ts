import { expect, test } from "vitest";
import { basename, placeOf, sourceOf, withSelections } from "../../src/chat/messages";

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

test("a place that narrows the question is not part of its text", () => {
  expect(withSelections(" Why? ", [{ kind: "scope", path: "/w/docs", label: "docs" }])).toBe(
    "Why?",
  );
});

test.each([
  [{ page: 3, startLine: 1, endLine: 9 }, "p. 3"],
  [{ page: null, startLine: 4, endLine: 4 }, "4"],
  [{ page: null, startLine: 4, endLine: 7 }, "4–7"],
])("a place is short: %o", (place, text) => {
  expect(placeOf(place)).toBe(text);
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
  };
  expect(sourceOf(stored, "See [2].")).toMatchObject({ cited: true, heading: "A › B" });
  expect(sourceOf(stored, "See [1].").cited).toBe(false);
});
