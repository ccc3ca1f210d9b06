// A scripted Ollama: answers each question with fixed words, one after another, as slowly as asked.
import { createServer } from "node:http";

const MODELS = ["harbor-large:8b", "harbor-small:1b"];
const ANSWERS = [
  [
    /Who keeps the lighthouse|Where does the keeper/,
    "The lighthouse keeper is called **Edda Holm** and lives on the north pier [1].",
  ],
  [/When are sailings suspended/, "In a storm the harbor master suspends all sailings [1]."],
  [
    /./,
    "A ferry that stays silent is asked **seven times**, with a pause that doubles each time [1].",
  ],
];

/** Starts it; `pause`: milliseconds between two words, which the caller may change. */
export async function scriptedOllama() {
  const state = { pause: 0, asked: 0 };
  const server = createServer((request, response) => {
    const parts = [];
    request.on("data", (part) => parts.push(part));
    request.on("end", () => {
      const body = parts.length ? JSON.parse(Buffer.concat(parts).toString() || "{}") : {};
      void answer(request.url, body, response, state);
    });
  });
  const listen = (port) =>
    new Promise((resolve) =>
      server.listen(port, "127.0.0.1", () => resolve(server.address().port)),
    );
  const port = await listen(0);
  return {
    url: `http://127.0.0.1:${port}`,
    state,
    stop: () => {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(resolve));
    },
    start: () => listen(port),
  };
}

async function answer(url, body, response, state) {
  const json = (value) => {
    response.writeHead(200, { "Content-Type": "application/json" });
    response.end(JSON.stringify(value));
  };
  switch (url) {
    case "/api/version":
      return json({ version: "0.33.0" });
    case "/api/tags":
      return json({ models: MODELS.map(model) });
    case "/api/ps":
      return json({ models: [] });
    case "/api/show":
      return json({
        details: model(body.model).details,
        model_info: { "general.architecture": "llama", "llama.context_length": 8192 },
        capabilities: ["completion"],
      });
    case "/api/chat":
      return chat(body, response, state);
    default:
      response.writeHead(404);
      response.end("{}");
  }
}

async function chat(body, response, state) {
  state.asked += 1;
  const prompt = body.messages.at(-1).content;
  const text = ANSWERS.find(([question]) => question.test(prompt))[1];
  response.writeHead(200, { "Content-Type": "application/x-ndjson" });
  const line = (content, more = {}) =>
    response.write(
      `${JSON.stringify({ model: body.model, message: { role: "assistant", content }, done: false, ...more })}\n`,
    );
  for (const word of text.split(/(?<= )/)) {
    if (response.destroyed) return;
    line(word);
    if (state.pause) await new Promise((resolve) => setTimeout(resolve, state.pause));
  }
  line("", { done: true, done_reason: "stop", prompt_eval_count: 1500, eval_count: 20 });
  response.end();
}

function model(name) {
  const size = name.endsWith("8b") ? 4_900_000_000 : 900_000_000;
  const details = { family: "llama", parameter_size: name.split(":")[1].toUpperCase() };
  return { name, model: name, size, modified_at: "2026-01-01T00:00:00Z", digest: "0", details };
}
