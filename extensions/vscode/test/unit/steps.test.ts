import { expect, test } from "vitest";
import { noteOn, popup, stepAfter } from "../../src/chat/steps";
import type { Passage } from "../../src/protocol";

const PASSAGE = {} as Passage;

test("four reasons of an empty list are four sentences with four steps", () => {
  const told = (
    [
      ["indexing", "Indexing is in progress (3 of 9 files); results may be incomplete."],
      ["nothing_indexed", "Nothing is indexed yet."],
      ["no_match_for_path", "No indexed file matches '*.x'."],
      ["embedder_unavailable", "Keyword search only: Ollama is not running."],
      [null, null],
    ] as const
  ).map(([noticeCode, notice]) => noteOn({ passages: [], notice, noticeCode }));
  expect(new Set(told.map((note) => note?.text)).size).toBe(5);
  expect(new Set(told.map((note) => note?.step?.action)).size).toBe(5);
  expect(told.at(-1)).toEqual({
    text: "No passage matches.",
    step: { label: "Explain the search", action: "explain" },
  });
});

test("passages of a limited search have its note above them, others have none", () => {
  const found = { passages: [PASSAGE], notice: "Indexing.", noticeCode: "indexing" as const };
  expect(noteOn(found)).toMatchObject({ text: "Indexing.", step: { action: "status" } });
  expect(noteOn({ ...found, notice: null, noticeCode: null })).toBeNull();
});

test.each([
  ["empty_answer", "models"],
  ["model_not_found", "models"],
  ["model_unsuitable", "models"],
  ["provider_unreachable", "doctor"],
  ["api_key_refused", "doctor"],
  ["disk_full", "doctor"],
  ["data_damaged", "doctor"],
  ["server_missing", "install"],
  ["not_running", "restart"],
])("after %s the button is the one that helps", (code, action) => {
  expect(stepAfter(code)?.action).toBe(action);
  expect(popup({ code, message: "It failed.", hint: "Do this." })).toMatchObject({
    text: "It failed. Do this.",
    step: { action },
  });
});

test("after a failure that only wants another try there is no other button than the log", () => {
  expect(stepAfter("answer_interrupted")).toBeNull();
  const failure = { code: "answer_interrupted", message: "It broke off.", hint: null };
  expect(popup(failure)).toMatchObject({ text: "It broke off.", step: { action: "showLog" } });
});
