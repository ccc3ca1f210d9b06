import { describe, expect, test } from "vitest";
import { IndexedPaths, triggerAt } from "../src/chat/mentions";
import type { DocumentPage, DocumentRow, WorkspaceStatus } from "../src/protocol";

describe("what is being typed", () => {
  const triggered = (text: string, cursor = text.length) => {
    const trigger = triggerAt(text, cursor);
    return trigger && [trigger.kind, trigger.query, trigger.start];
  };

  test.each([
    ["@", ["mention", "", 0]],
    ["what says @doc", ["mention", "doc", 10]],
    ["in\n#sel", ["mention", "sel", 3]],
    ["/ne", ["command", "ne", 0]],
    ["/model lla", ["model", "lla", 0]],
    ["mail ann@example", null],
    ["what is /etc", null],
    ["/etc/hosts", null],
    ["@a.md says", null],
    ["# A heading", null],
  ])("%j", (text, expected) => {
    expect(triggered(text)).toEqual(expected);
  });

  test("is the word before the cursor", () => {
    expect(triggered("@docs and more", 3)).toEqual(["mention", "do", 0]);
  });
});

describe("indexed paths", () => {
  const FILES = ["README.md", "docs/retries.md", "src/deep/retry.py", "src/harbor.py"];
  const workspaces = (documents: number) => [
    { path: "/w/harbor", documents, chunks: 9 } as WorkspaceStatus,
  ];
  let pages = 0;
  const paths = new IndexedPaths(async (cursor) => {
    pages += 1;
    const at = Number(cursor ?? 0);
    const row = { path: `/w/harbor/${FILES[at]}`, workspace: "/w/harbor" } as DocumentRow;
    const nextCursor = at + 1 < FILES.length ? String(at + 1) : null;
    return { documents: [row], total: FILES.length, nextCursor } satisfies DocumentPage;
  });
  const found = async (query: string, preference?: (path: string) => number) =>
    (await paths.find(query, workspaces(4), preference)).map(({ label }) => label);

  test("are found by their names, parts of their paths and initials", async () => {
    expect(await found("retr")).toEqual(["retries.md", "retry.py"]);
    expect(await found("src/")).toEqual(["src/", "deep/", "harbor.py", "retry.py"]);
    expect(await found("hbr.py")).toEqual(["harbor.py"]);
    expect(await found("gone")).toEqual([]);
  });

  test("that are preferred come first", async () => {
    const isOpen = (path: string) => (path.endsWith("harbor.py") ? 0.5 : 0);
    expect((await found("", isOpen))[0]).toBe("harbor.py");
  });

  test("say where they are", async () => {
    const [retry] = await paths.find("retry.py", workspaces(4));
    expect(retry).toMatchObject({ path: "/w/harbor/src/deep/retry.py", detail: "harbor/src/deep" });
  });

  test("are loaded again only when the index has changed", async () => {
    pages = 0;
    await paths.find("a", workspaces(4));
    expect(pages).toBe(0);
    await paths.find("a", workspaces(5));
    expect(pages).toBe(4);
  });
});
