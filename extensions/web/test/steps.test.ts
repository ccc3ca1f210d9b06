import { expect, test } from "vitest";
import { failureMessage, searchRemark, stepForFailure } from "../src/chat/steps";
import type { Passage } from "../src/protocol";

const PASSAGE = {} as Passage;

test("four reasons of an empty list are four sentences with four steps", () => {
  const told = (
    [
      ["indexing", "Indexing is in progress (3 of 9 files); results may be incomplete."],
      ["nothing_indexed", "No documents indexed."],
      ["no_match_for_path", "No indexed file matches '*.x'."],
      ["embedder_unavailable", "Keyword search only: Ollama is not running."],
      [null, null],
    ] as const
  ).map(([noticeCode, notice]) => searchRemark({ passages: [], notice, noticeCode }));
  expect(new Set(told.map((note) => note?.text)).size).toBe(5);
  expect(new Set(told.map((note) => note?.step?.action)).size).toBe(5);
  expect(told.at(-1)).toEqual({
    text: "No passage matches.",
    step: { label: "Explain the search", action: "explain" },
  });
});

test("only passages of a limited search have a note above them", () => {
  const found = { passages: [PASSAGE], notice: "Indexing.", noticeCode: "indexing" as const };
  expect(searchRemark(found)).toMatchObject({ text: "Indexing.", step: { action: "status" } });
  expect(searchRemark({ ...found, notice: null, noticeCode: null })).toBeNull();
});

test.each([
  ["empty_answer", "models"],
  ["model_not_found", "models"],
  ["model_unsuitable", "models"],
  ["provider_unreachable", "doctor"],
  ["api_key_refused", "doctor"],
  ["disk_full", "doctor"],
  ["full_text_down", "doctor"],
  ["data_damaged", "doctor"],
  ["server_missing", "install"],
  ["not_running", "restart"],
])("after %s the button is the one that helps", (code, action) => {
  expect(stepForFailure(code)?.action).toBe(action);
  expect(failureMessage({ code, message: "It failed.", hint: "Do this." })).toMatchObject({
    text: "It failed. Do this.",
    step: { action },
  });
});

test("a failure that can only be retried has no button but the log", () => {
  expect(stepForFailure("answer_interrupted")).toBeNull();
  const failure = { code: "answer_interrupted", message: "It broke off.", hint: null };
  expect(failureMessage(failure)).toMatchObject({
    text: "It broke off.",
    step: { action: "showLog" },
  });
});
