import { describe, expect, test } from "vitest";
import type { EngineSummary } from "../src/chat/messages";
import { INITIAL, indexText, noticeOf } from "../src/chat/state";
import { stepForModelServer } from "../src/chat/steps";

const ENGINE: EngineSummary = {
  documents: 312,
  folders: 1,
  failed: 0,
  stopped: null,
  indexing: null,
  embedderReason: null,
  ollama: { reachable: true, reason: null, step: null },
  models: ["llama3.2:3b"],
  model: "llama3.2:3b",
  trusted: true,
};

const ready = (changes: Partial<EngineSummary> = {}) => ({
  ...INITIAL,
  connection: { state: "ready" as const },
  engine: { ...ENGINE, ...changes },
});

const offline = (provider: string, reasonCode: string): Partial<EngineSummary> => {
  const status = { url: "", reachable: false, version: null, reason: "Why not.", provider };
  const step = stepForModelServer({ ...status, reasonCode });
  return { ollama: { reachable: false, reason: status.reason, step } };
};

describe("the notice", () => {
  test("says why models cannot be used", () => {
    const notice = noticeOf(ready(offline("openai", "api_key_refused")));
    expect(notice?.text).toBe("Why not. Questions are answered with passages only.");
  });

  test("is absent when everything works", () => {
    expect(noticeOf(ready())).toBeNull();
  });

  test.each([
    [{ ...INITIAL, connection: { state: "missing" as const } }, "install"],
    [{ ...INITIAL, connection: { state: "stopped" as const, reason: "It ended." } }, "restart"],
    [
      { ...ready(), failure: { code: "disk_full", message: "The disk is full.", hint: null } },
      "showLog",
    ],
    [{ ...ready(), failure: { code: "data_damaged", message: "Damaged.", hint: null } }, "doctor"],
    [ready(offline("ollama", "provider_unreachable")), "startOllama"],
    [ready(offline("openai", "provider_unreachable")), "doctor"],
    [ready(offline("ollama", "api_key_refused")), "doctor"],
    [ready({ models: [] }), "pullModel"],
    [ready({ indexing: { done: 312, total: 585 } }), "status"],
    [ready({ embedderReason: "Nothing answers." }), "doctor"],
    [ready({ stopped: "The disk is full." }), "sync"],
    [ready({ trusted: false }), "trust"],
    [ready({ documents: 0 }), "ingest"],
  ])("offers the step that helps (%#)", (state, action) => {
    expect(noticeOf(state)?.actions.map((a) => a.action)).toContain(action);
  });

  test("counts the files while they are indexed", () => {
    const notice = noticeOf(ready({ indexing: { done: 312, total: 585 } }));
    expect(notice?.text).toBe("Indexing 312 of 585 files…");
  });
});

test("the size of the index is described in words", () => {
  expect(indexText({ ...ENGINE, documents: 1200 })).toBe("1,200 documents in 1 folder");
  expect(indexText({ ...ENGINE, failed: 3 })).toBe("312 documents in 1 folder, 3 failed");
});
