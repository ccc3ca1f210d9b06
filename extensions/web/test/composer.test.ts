import { beforeEach, describe, expect, test } from "vitest";
import type { FromView, Mention, Turn, ViewState } from "../src/chat/messages";
import { INITIAL } from "../src/chat/state";
import { Composer, type Draft } from "../src/view/composer";

const QUESTION: Turn = {
  id: "m1",
  role: "user",
  text: "Why?",
  model: null,
  passagesOnly: false,
  caution: null,
  sources: [],
};
const SHOWN: ViewState = {
  ...INITIAL,
  connection: { state: "ready" },
  conversation: "a",
  turns: [QUESTION],
};

describe("an edited question", () => {
  let asked: unknown[][];
  let saved: Draft;

  const composerWith = (draft: Draft) =>
    new Composer(
      {
        post: () => {},
        ask: (...args) => asked.push(args),
        offers: () => true,
        questions: () => [],
        saveDraft: (draft) => {
          saved = draft;
        },
      },
      draft,
    );
  const isEditing = (composer: Composer) => composer.element.querySelector(".editing") !== null;

  beforeEach(() => {
    asked = [];
    saved = { draft: "", useRag: true };
  });

  const edited = () => {
    const composer = composerWith(saved);
    composer.update(SHOWN);
    composer.edit(QUESTION);
    composer.update(SHOWN);
    return composer;
  };

  test("replaces the earlier one", () => {
    const composer = edited();
    expect(isEditing(composer)).toBe(true);
    composer.element.dispatchEvent(new Event("submit"));
    expect(asked).toEqual([["Why?", "m1"]]);
  });

  test("becomes a new question in another conversation, even while that is loading", () => {
    const composer = edited();
    composer.update({ ...SHOWN, conversation: "b", opening: {}, turns: [] });
    expect(isEditing(composer)).toBe(false);
    composer.element.dispatchEvent(new Event("submit"));
    expect(asked).toEqual([["Why?", undefined]]);
  });

  test("is still being edited after the window is reloaded", () => {
    edited();
    const composer = composerWith(saved);
    composer.update({ ...INITIAL, connection: { state: "starting" } });
    composer.update({ ...SHOWN, opening: {}, turns: [] });
    expect(isEditing(composer)).toBe(true);
    composer.update(SHOWN);
    expect(isEditing(composer)).toBe(true);
  });

  test("becomes a new question when its message was deleted", () => {
    const composer = edited();
    composer.update({ ...SHOWN, turns: [] });
    expect(isEditing(composer)).toBe(false);
  });
});

test("a deep answer is asked for only from documents, and the choice is kept", () => {
  let saved: Draft = { draft: "", useRag: true };
  const actions = {
    post: () => {},
    ask: () => {},
    offers: () => true,
    questions: () => [],
    saveDraft: (draft: Draft) => {
      saved = draft;
    },
  };
  const composer = new Composer(actions, saved);
  const [documents, deep] = composer.element.querySelectorAll<HTMLElement>("[role=switch]");
  expect(composer.deep).toBe(false);
  deep?.click();
  expect([composer.deep, saved.deep]).toEqual([true, true]);
  documents?.click();
  expect([composer.deep, deep?.hidden]).toEqual([false, true]);
  expect(new Composer(actions, { ...saved, useRag: true }).deep).toBe(true);
});

describe("the input", () => {
  const FILE: Mention = { kind: "file", path: "/w/docs/a.md", label: "a.md", detail: "w/docs" };
  let posted: FromView[];
  let asked: string[];
  let composer: Composer;
  let input: HTMLTextAreaElement;

  beforeEach(() => {
    posted = [];
    asked = [];
    composer = new Composer(
      {
        post: (message) => posted.push(message),
        offers: (action) => action !== "doctor",
        ask: (question) => asked.push(question),
        questions: () => ["second?", "first?"],
        saveDraft: () => {},
      },
      { draft: "", useRag: false },
    );
    document.body.replaceChildren(composer.element);
    composer.dropsOn(composer.element);
    input = composer.element.querySelector("textarea") as HTMLTextAreaElement;
  });

  const type = (text: string) => {
    input.value = text;
    input.setSelectionRange(text.length, text.length);
    input.dispatchEvent(new Event("input"));
  };
  const press = (key: string) =>
    input.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
  const options = () =>
    [...composer.element.querySelectorAll("[role=option] .name")].map((e) => e.textContent);
  const found = (mentions: Mention[]) => {
    const last = posted.findLast((message) => message.type === "suggest");
    composer.suggest({ type: "suggestions", number: last?.number ?? -1, mentions });
  };
  const attached = (message: Partial<FromView>) =>
    expect(posted).toContainEqual(expect.objectContaining(message));

  test("completes a mention, attaches it, and answers from documents again", () => {
    type("what says @a");
    found([FILE]);
    expect(options()).toEqual(["a.md"]);
    expect(input.getAttribute("aria-expanded")).toBe("true");
    const active = input.getAttribute("aria-activedescendant") ?? "";
    expect(document.getElementById(active)?.getAttribute("aria-selected")).toBe("true");
    press("Enter");
    expect(asked).toEqual([]);
    expect(input.value).toBe("what says a.md ");
    attached({ type: "mention", mention: FILE });
    expect(composer.documents).toBe(true);
    expect(input.hasAttribute("aria-expanded")).toBe(false);
  });

  test("says that no file matches a mention, and still sends the question", () => {
    type("what says @gone.md");
    found([]);
    expect(composer.element.textContent).toContain("No indexed file or folder matches “gone.md”.");
    press("Enter");
    expect(asked).toEqual(["what says @gone.md"]);
  });

  test("ignores suggestions for a text that was changed since", () => {
    type("what says @a");
    const [old] = posted.filter((message) => message.type === "suggest");
    type("what says nobody");
    composer.suggest({ type: "suggestions", number: old?.number ?? -1, mentions: [FILE] });
    expect(options()).toEqual([]);
  });

  test("runs a command, of those that the host has", () => {
    type("/");
    expect(options()).toContain("/new");
    expect(options()).not.toContain("/doctor");
    type("/deep");
    press("Tab");
    expect([composer.deep, input.value]).toEqual([true, ""]);
    type("/ne");
    press("Enter");
    attached({ type: "action", action: "newChat" });
  });

  test("Escape closes the suggestions only", () => {
    let escaped = false;
    document.body.addEventListener("keydown", () => {
      escaped = true;
    });
    type("/");
    press("Escape");
    expect(escaped).toBe(false);
    expect(composer.element.querySelector(".suggestions")?.hasAttribute("hidden")).toBe(true);
  });

  test("recalls earlier questions into an empty input, without editing them", () => {
    for (const [key, shown] of [
      ["ArrowUp", "second?"],
      ["ArrowUp", "first?"],
      ["ArrowUp", "first?"],
      ["ArrowDown", "second?"],
      ["ArrowDown", ""],
    ] as const) {
      press(key);
      expect(input.value).toBe(shown);
    }
    type("a new one");
    press("ArrowUp");
    expect(input.value).toBe("a new one");
    expect(composer.element.querySelector(".editing")).toBeNull();
  });

  test("attaches dropped files, and long pasted text", async () => {
    const drop = (data: Partial<DataTransfer>) => {
      const event = Object.assign(new Event("drop", { cancelable: true }), { dataTransfer: data });
      composer.element.dispatchEvent(event);
      return event.defaultPrevented;
    };
    const getData = (list: string) => (type: string) => (type === "text/uri-list" ? list : "");
    const files = (text: string, name: string) => [new File([text], name)] as unknown as FileList;
    expect(drop({ getData: getData("file:///w/a.md\r\nfile:///w/docs") })).toBe(true);
    attached({ type: "drop", uris: ["file:///w/a.md", "file:///w/docs"] });
    expect(drop({ getData: getData("https://example.org") })).toBe(false);
    drop({ getData: getData(""), files: files("a trace", "trace.txt") });
    drop({ getData: getData(""), files: files("\0", "photo.raw") });
    await expect.poll(() => composer.element.textContent).toContain("photo.raw is not a text");
    attached({ type: "attachText", label: "trace.txt", text: "a trace" });
    const text = "line\n".repeat(40);
    const paste = Object.assign(new Event("paste", { cancelable: true }), {
      clipboardData: { getData: (type: string) => (type === "text/plain" ? text : "") },
    });
    input.dispatchEvent(paste);
    attached({ type: "attachText", label: "Pasted text, 40 lines", text });
  });
});
