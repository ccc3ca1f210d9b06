/** Requests to the server that this page came from. */
import type { Answer, AskParams, AskProgress, Failure, Operations } from "../protocol";
import { type StreamEvent, streamEvents } from "./events";

/** A request that was refused, or could not be sent (`status` 0). */
export class Refused extends Error {
  constructor(
    readonly failure: Failure,
    readonly status: number,
  ) {
    super(failure.message);
  }
}

/** Who uses this page, and what they may do. */
export interface Me {
  name: string;
  rights: string[];
  workspaces: string[] | null;
}

export interface Progress {
  done: number;
  total: number | null;
  message: string;
}

const UNREACHABLE: Failure = {
  code: "not_running",
  message: "Allma does not answer.",
  hint: "If it has stopped, run `allma open` in a terminal.",
};

export class Server {
  /** Called when a request is refused because nobody is signed in. */
  onUnauthorized = () => {};
  /** Called when a request could not be sent, or its answer broke off. */
  onUnreachable = () => {};

  constructor(private readonly fetch: typeof window.fetch = window.fetch.bind(window)) {}

  /** Runs an operation. */
  async call<N extends keyof Operations>(
    name: N,
    params: Operations[N][0],
    signal?: AbortSignal,
  ): Promise<Operations[N][1]> {
    const response = await this.post(`${name}?names=camel`, params, {}, signal);
    return (await this.read(response)) as Operations[N][1];
  }

  /** Runs an operation whose progress is shown. Aborting stops it on the server. */
  async run<N extends keyof Operations>(
    name: N,
    params: Operations[N][0],
    onProgress: (progress: Progress) => void,
    signal?: AbortSignal,
  ): Promise<Operations[N][1]> {
    return (await this.stream(
      name,
      params,
      (event) => {
        if (event.kind === "status") onProgress(event);
      },
      signal,
    )) as Operations[N][1];
  }

  /** Asks a question; the answer streams. Aborting stops it on the server. */
  async ask(
    params: AskParams,
    onProgress: (progress: AskProgress) => void,
    signal: AbortSignal,
  ): Promise<Answer> {
    return (await this.stream(
      "ask",
      params,
      (event) => {
        if (event.kind !== "done" && event.kind !== "error") onProgress(event);
      },
      signal,
    )) as Answer;
  }

  async me(): Promise<Me> {
    return (await this.read(await this.send("me", {}))) as Me;
  }

  /** Signs in with a token, or with the code of `allma open`. */
  async signIn(credential: { code: string } | { token: string }): Promise<void> {
    await this.read(await this.post("login", credential));
  }

  async signOut(): Promise<void> {
    await this.read(await this.post("logout", {}));
  }

  /** Stores a file in an indexed folder, and indexes it. */
  async upload(workspace: string, file: File): Promise<Operations["ingest"][1]> {
    const query = new URLSearchParams({ workspace, name: file.name, names: "camel" });
    const headers = { "Content-Type": "application/octet-stream" };
    const request = { method: "POST", headers, body: file };
    return (await this.read(
      await this.send(`upload?${query}`, request),
    )) as Operations["ingest"][1];
  }

  /** Whether the server answers at all. */
  async isUp(): Promise<boolean> {
    return this.fetch("/health").then(
      ({ ok }) => ok,
      () => false,
    );
  }

  private async stream(
    name: string,
    params: object,
    onEvent: (event: StreamEvent) => void,
    signal?: AbortSignal,
  ): Promise<unknown> {
    const call = randomName();
    const leaving = new AbortController();
    const stop = async () => {
      const { cancelled } = await this.post("cancel", { call }).then(
        (response) => response.json(),
        () => ({ cancelled: false }),
      );
      if (!cancelled) leaving.abort();
    };
    signal?.addEventListener("abort", stop, { once: true });
    try {
      const address = `${name}?names=camel&call=${call}`;
      const accept = { Accept: "text/event-stream" };
      const response = await this.post(address, params, accept, leaving.signal);
      if (!response.ok || !response.body) return await this.read(response);
      for await (const event of streamEvents(response.body)) {
        if (event.kind === "done") return event.result;
        if (event.kind === "error") throw new Refused(event, event.status ?? 500);
        onEvent(event);
      }
    } catch (error) {
      if (error instanceof Refused || leaving.signal.aborted) throw error;
    } finally {
      signal?.removeEventListener("abort", stop);
    }
    this.onUnreachable();
    throw new Refused(UNREACHABLE, 0);
  }

  private post(
    address: string,
    body: object,
    headers: Record<string, string> = {},
    signal?: AbortSignal,
  ): Promise<Response> {
    return this.send(address, {
      method: "POST",
      headers: { "Content-Type": "application/json", ...headers },
      body: JSON.stringify(body),
      signal,
    });
  }

  private async send(address: string, request: RequestInit): Promise<Response> {
    try {
      return await this.fetch(`/api/${address}`, request);
    } catch (error) {
      if (request.signal?.aborted) throw error;
      this.onUnreachable();
      throw new Refused(UNREACHABLE, 0);
    }
  }

  private async read(response: Response): Promise<unknown> {
    const body: unknown = await response.json().catch(() => null);
    if (response.ok && body !== null && !(response.status === 202 && isFailure(body))) return body;
    if (response.status === 401) this.onUnauthorized();
    const unexpected = { code: "error", message: `Unexpected answer (${response.status}).` };
    throw new Refused(isFailure(body) ? body : { ...unexpected, hint: null }, response.status);
  }
}

/** The failure of a request, as the chat shows it. */
export function failureOf(error: unknown): Failure | "cancelled" {
  if (error instanceof Refused) {
    return error.failure.code === "cancelled" ? "cancelled" : error.failure;
  }
  if (error instanceof DOMException && error.name === "AbortError") return "cancelled";
  return { code: "error", message: String(error), hint: null };
}

/** A failure as one text. */
export function sentence(error: unknown): string {
  const failure = failureOf(error);
  if (failure === "cancelled") return "Stopped.";
  return [failure.message, failure.hint].filter(Boolean).join(" ");
}

function isFailure(body: unknown): body is Failure {
  return typeof body === "object" && body !== null && "code" in body && "message" in body;
}

function randomName(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(12)), (n) => n.toString(16)).join("");
}
