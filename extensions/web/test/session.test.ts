import { beforeEach, describe, expect, test } from "vitest";
import type { ToView } from "../src/chat/messages";
import { type Backend, Session } from "../src/chat/session";
import { INITIAL, reduce } from "../src/chat/state";
import type { Answer, AskParams, AskProgress, Conversation, Message } from "../src/protocol";

const CANCELLED = new Error("cancelled");
const AWAY = new Error("the server is away");
const GONE = new Error("This conversation does not exist.");

/** A scripted server: stores conversations, and answers on command. */
class Server implements Backend {
  asked: AskParams[] = [];
  conversations = new Map<string, Conversation>();
  away = false;
  /** Pending requests by conversation, when `slow`. */
  slow = false;
  private waiting: { id: string; go: () => void }[] = [];
  private finish: ((text: string) => void) | undefined;
  private fail: ((error: unknown) => void) | undefined;
  private begin = () => {};
  private told = "";
  private tell: ((progress: AskProgress) => void) | undefined;

  ask(params: AskParams, onProgress: (p: AskProgress) => void, signal: AbortSignal) {
    this.asked.push(params);
    this.tell = onProgress;
    this.told = "";
    const id = params.conversationId ?? `c${this.conversations.size + 1}`;
    const messageId = `m${this.asked.length}`;
    if (params.replaces === undefined) this.write(id, "user", params.question, messageId);
    // The earlier message is replaced when the new answer begins.
    this.begin = () => {
      if (params.replaces === undefined) return;
      this.cut(id, params.replaces);
      this.write(id, "user", params.question, messageId);
      this.begin = () => undefined;
    };
    onProgress({ kind: "started", conversationId: id, messageId });
    return new Promise<Answer>((resolve, reject) => {
      this.fail = reject;
      this.finish = (text) => {
        this.begin();
        this.write(id, "assistant", text);
        resolve({ text, conversationId: id, stats: {}, notice: null } as unknown as Answer);
      };
      signal.addEventListener("abort", () => {
        if (this.told) this.write(id, "assistant", `${this.told} …`);
        reject(CANCELLED);
      });
    });
  }

  async check(path: string) {
    if (path.endsWith("gone.md")) throw new Error(`${path} is not on the disk.`);
  }

  async show(id: string): Promise<Conversation> {
    if (this.slow) await new Promise<void>((go) => this.waiting.push({ id, go }));
    return this.found(id);
  }

  /** Answers the oldest pending request for a conversation. */
  async shows(id: string): Promise<void> {
    const index = this.waiting.findIndex((request) => request.id === id);
    this.waiting.splice(index, 1)[0]?.go();
    await settled();
  }

  /** Stores a conversation with one question and one answer. */
  has(id: string): void {
    this.write(id, "user", `question of ${id}`, `${id}.question`);
    this.write(id, "assistant", `answer of ${id}`);
  }

  private found(id: string): Promise<Conversation> {
    if (this.away) return Promise.reject(AWAY);
    const found = this.conversations.get(id);
    return found ? Promise.resolve(structuredClone(found)) : Promise.reject(GONE);
  }

  failure(error: unknown) {
    if (error === CANCELLED) return "cancelled" as const;
    if (error === AWAY) return { code: "error", message: AWAY.message, hint: null };
    const isNotFound = String(error) === String(GONE);
    const code = isNotFound ? "conversation_not_found" : "answer_interrupted";
    return { code, message: String(error), hint: "Next step." };
  }

  think(text: string): void {
    this.tell?.({ kind: "thinking", text });
  }

  stream(text: string): void {
    this.begin();
    this.told += text;
    this.tell?.({ kind: "chunk", seq: 0, text });
  }

  async answer(text: string): Promise<void> {
    this.finish?.(text);
    await settled();
  }

  async endWithFailure(message: string | Error): Promise<void> {
    this.fail?.(message);
    await settled();
  }

  private cut(id: string, message: string): void {
    const messages = this.conversations.get(id)?.messages ?? [];
    messages.splice(messages.findIndex((m) => m.id === message));
  }

  private write(id: string, role: Message["role"], content: string, as?: string): void {
    const known = this.conversations.get(id);
    const messages = known?.messages ?? [];
    messages.push({
      id: as ?? `${id}.${messages.length}`,
      role,
      content,
      model: "m",
      createdAt: "",
      sources: [],
      grounding: null,
    });
    this.conversations.set(id, {
      id,
      title: known?.title ?? content,
      createdAt: "",
      updatedAt: "",
      messageCount: messages.length,
      messages,
    });
  }
}

const settled = () => new Promise((resolve) => setTimeout(resolve));

describe("a session", () => {
  let server: Server;
  let session: Session;
  let view: typeof INITIAL;
  let changes: string[];
  let posted: ToView[];

  beforeEach(() => {
    server = new Server();
    view = INITIAL;
    changes = [];
    posted = [];
    session = new Session(
      server,
      (message: ToView) => {
        posted.push(structuredClone(message));
        view = reduce(view, structuredClone(message));
      },
      (kind) => changes.push(kind),
    );
  });

  const texts = () => view.turns.map((turn) => turn.text);

  test("streams an answer and ends with the stored one", async () => {
    void session.ask("Why?", true);
    expect(view.pending).toMatchObject({ question: "Why?", state: "waiting" });
    server.stream("Be");
    server.stream("cause");
    expect(view.pending).toMatchObject({ answer: "Because", state: "streaming" });
    await server.answer("Because.");
    expect(view.pending).toBeNull();
    expect(texts()).toEqual(["Why?", "Because."]);
    expect(session.id).toBe("c1");
    expect(changes).toEqual(["selected", "written"]);
  });

  test("continues its conversation with the next question", async () => {
    void session.ask("Why?", true);
    await server.answer("Because.");
    void session.ask("And?", false);
    await server.answer("So.");
    expect(server.asked[1]).toMatchObject({ conversationId: "c1", useRag: false });
    expect(texts()).toEqual(["Why?", "Because.", "And?", "So."]);
  });

  test("accepts no second question while it answers", async () => {
    void session.ask("Why?", true);
    await session.ask("And?", true);
    expect(server.asked).toHaveLength(1);
  });

  test("keeps the text of a stopped first answer", async () => {
    void session.ask("Why?", true);
    server.stream("half");
    session.stop();
    await settled();
    expect(view.pending).toBeNull();
    expect(texts()).toEqual(["Why?", "half …"]);
    expect(session.id).toBe("c1");
  });

  test("shows a failure with the question, once", async () => {
    void session.ask("Why?", true);
    await server.endWithFailure("The model is gone.");
    expect(view.pending).toMatchObject({
      question: "Why?",
      state: "failed",
      failure: { message: "The model is gone.", hint: "Next step." },
    });
    expect(texts()).toEqual([]);
    void session.ask("Why?", true);
    expect(view.pending?.state).toBe("waiting");
  });

  test("replaces an answer when asked again", async () => {
    void session.ask("Why?", true);
    await server.answer("Because.");
    void session.ask("Why?", true, "m1");
    expect(texts()).toEqual([]);
    await server.answer("Therefore.");
    expect(server.asked[1]).toMatchObject({ conversationId: "c1", replaces: "m1" });
    expect(texts()).toEqual(["Why?", "Therefore."]);
  });

  test("restores an answer when its replacement is stopped before it begins", async () => {
    void session.ask("Why?", true);
    await server.answer("Because.");
    void session.ask("Why not?", true, "m1");
    expect(texts()).toEqual([]);
    session.stop();
    await settled();
    expect(texts()).toEqual(["Why?", "Because."]);
  });

  test("retries a failed question without duplicating it", async () => {
    void session.ask("Why?", true);
    server.stream("half");
    await server.endWithFailure("The model is gone.");
    expect(view.pending).toMatchObject({ answer: "half", state: "failed", replaces: "m1" });
    expect(texts()).toEqual([]);
  });

  test("retries a failed replacement of the same message", async () => {
    void session.ask("Why?", true);
    await server.answer("Because.");
    void session.ask("Why?", true, "m1");
    await server.endWithFailure("Ollama is gone.");
    expect(view.pending).toMatchObject({ state: "failed", replaces: "m1" });
  });

  test("cancels an answer when another conversation is opened", async () => {
    void session.ask("Why?", true);
    await session.select(undefined);
    server.stream("late");
    await settled();
    expect(view.pending).toBeNull();
    expect(texts()).toEqual([]);
    expect(session.busy).toBe(false);
  });

  test("gives a new view the whole state, including a partial answer", () => {
    void session.ask("Why?", true);
    server.stream("half");
    expect(session.snapshot().pending).toMatchObject({ question: "Why?", answer: "half" });
  });

  test("asks about its attachments: a file or folder, and texts in the question", () => {
    session.attach({ kind: "scope", path: "/w/b", label: "b" });
    session.attach({ kind: "scope", path: "/w/b", label: "b" });
    session.attach({ kind: "text", label: "Pasted text, 1 line", text: "segmentation fault" });
    session.attach({
      kind: "selection",
      path: "/w/x.py",
      label: "x.py, line 1",
      startLine: 1,
      endLine: 1,
      language: "python",
      text: "x = 1",
    });
    void session.ask("What?", true);
    expect(server.asked[0]).toMatchObject({ workspace: "/w/b" });
    expect(server.asked[0]?.path).toBeUndefined();
    expect(server.asked[0]?.question).toMatch(/segmentation fault[\s\S]*x = 1/);
    expect(view.attachments.map((a) => a.label)).toEqual(["b"]);
  });

  test("does not ask about files of which one is gone", async () => {
    session.attach({ kind: "scope", path: "/w/gone.md", label: "gone.md" });
    session.attach({ kind: "scope", path: "/w/docs", label: "docs" });
    await session.ask("What?", true);
    expect(server.asked).toEqual([]);
    expect(view.pending?.failure?.message).toContain("/w/gone.md is not on the disk.");
    expect(view.attachments.map((a) => a.label)).toEqual(["gone.md", "docs"]);
  });

  test("asks about several files and folders at once", async () => {
    session.attach({ kind: "scope", path: "/w/a, b.md", label: "a, b.md" });
    session.attach({ kind: "scope", path: "/w/docs", label: "docs" });
    void session.ask("What?", true);
    await settled();
    expect(server.asked[0]).toMatchObject({ workspace: "all", path: "/w/a? b.md, /w/docs" });
  });

  test("restores the conversation of an earlier window once the server is available", async () => {
    void session.ask("Why?", true);
    await server.answer("Because.");
    const id = session.id as string;
    await session.select(undefined);
    server.away = true;
    await session.restore(id);
    expect(session.id).toBe(id);
    server.away = false;
    await session.reload();
    expect(texts()).toEqual(["Why?", "Because."]);
  });

  test("shows why loading failed, and loads again when the server is back", async () => {
    server.has("a");
    server.away = true;
    await session.restore("a");
    expect(view).toMatchObject({
      conversation: "a",
      opening: { failure: { message: "the server is away" } },
      turns: [],
    });
    expect(session.hasLoadError).toBe(true);
    server.away = false;
    await session.reload();
    expect(view.opening).toBeNull();
    expect(texts()).toEqual(["question of a", "answer of a"]);
  });

  test("starts empty when the conversation of an earlier window was deleted", async () => {
    await session.restore("gone");
    expect(session.id).toBeUndefined();
    expect(texts()).toEqual([]);
  });

  test("closes a conversation that another client deleted", async () => {
    void session.ask("Why?", true);
    await server.answer("Because.");
    server.conversations.clear();
    await session.reload();
    expect(session.id).toBeUndefined();
    expect(texts()).toEqual([]);
  });

  describe("with several requests in flight", () => {
    beforeEach(() => {
      for (const id of ["a", "b"]) server.has(id);
      server.slow = true;
    });

    const expectB = () => {
      expect(view.conversation).toBe("b");
      expect(session.id).toBe("b");
      expect(session.title).toBe("question of b");
      expect(texts()).toEqual(["question of b", "answer of b"]);
    };

    test.each([
      ["a", "b"],
      ["b", "a"],
    ])("shows the conversation that was chosen last, when %s comes first", async (...order) => {
      void session.select("a");
      void session.select("b");
      for (const id of order) await server.shows(id);
      expectB();
    });

    test("asks in the conversation selected last, even while it is loading", async () => {
      void session.select("a");
      await server.shows("a");
      void session.select("b");
      expect(view).toMatchObject({ conversation: "b", opening: {}, turns: [], title: null });
      void session.ask("Why?", true);
      expect(server.asked[0]?.conversationId).toBe("b");
      await server.shows("b");
      expect(texts()).toEqual(["question of b", "answer of b"]);
      expect(view.pending?.question).toBe("Why?");
    });

    test("shows a new chat that was selected while another one was loading", async () => {
      void session.select("a");
      void session.select(undefined);
      await server.shows("a");
      expect(view).toMatchObject({ conversation: null, opening: null, title: null, turns: [] });
    });

    test("does not show an answer in a conversation selected after the question", async () => {
      void session.select("a");
      await server.shows("a");
      void session.ask("Why?", true);
      await server.answer("Because.");
      void session.select("b");
      await server.shows("b");
      await server.shows("a");
      expectB();
      expect(view.pending).toBeNull();
      expect(view.stats).toBeNull();
    });

    test("does not show a failure in a conversation selected after the question", async () => {
      void session.select("a");
      await server.shows("a");
      void session.ask("Why?", true);
      await server.endWithFailure("The model is gone.");
      void session.select("b");
      await server.shows("a");
      await server.shows("b");
      expectB();
      expect(view.pending).toBeNull();
    });

    test("does not return to the conversation of an earlier window", async () => {
      void session.restore("a");
      void session.select("b");
      await server.shows("b");
      await server.shows("a");
      expectB();
    });

    test("keeps the selection when an earlier selection turns out to be deleted", async () => {
      void session.restore("gone");
      void session.select("b");
      await server.shows("b");
      await server.shows("gone");
      expectB();
    });

    test("keeps the newer of two responses", async () => {
      void session.select("a");
      await server.shows("a");
      void session.reload();
      void session.ask("And?", true);
      await server.answer("So.");
      await server.shows("a"); // requested before the question
      await server.shows("a");
      expect(texts()).toEqual(["question of a", "answer of a", "And?", "So."]);
      expect(view.pending).toBeNull();
    });

    test("returns text typed in another conversation to the input", async () => {
      void session.select("a");
      await server.shows("a");
      const typed = { question: "Why?", conversation: view.conversation, useRag: true };
      void session.select("b");
      posted.length = 0;
      await session.askTyped({ ...typed, replaces: "a.question" });
      expect(server.asked).toEqual([]);
      expect(posted).toEqual([{ type: "compose", text: "Why?" }]);
    });
  });

  test("continues its answer when it is selected again", async () => {
    void session.ask("Why?", true);
    await session.select("c1");
    expect(session.busy).toBe(true);
    await server.answer("Because.");
    expect(texts()).toEqual(["Why?", "Because."]);
  });

  test("reports that a selected conversation was deleted, and starts a new one", async () => {
    await expect(session.select("gone")).rejects.toThrow(GONE);
    expect(view).toMatchObject({ conversation: null, opening: null });
  });

  test("asks in a new conversation after another client deleted the current one", async () => {
    void session.ask("Why?", true);
    await server.answer("Because.");
    server.conversations.clear();
    void session.ask("And?", true, "m1");
    await server.endWithFailure(GONE);
    expect(view.pending).toMatchObject({ state: "failed", replaces: undefined });
    void session.ask("And?", true, view.pending?.replaces);
    expect(server.asked.at(-1)).toMatchObject({ conversationId: undefined, replaces: undefined });
  });

  test("tells the view which conversation an answer started", () => {
    void session.ask("Why?", true);
    expect(view.conversation).toBe("c1");
  });
});
