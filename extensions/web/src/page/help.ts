/** Explanations that the page shows. */
import type { Status } from "../protocol";
import { type Child, h } from "../view/dom";

/** How to start Ollama, and where it is expected. */
export function ollamaHelp(status: Status | undefined): Child[] {
  const command = (text: string) => h("code", {}, text);
  return [
    h(
      "p",
      {},
      "Ollama runs the models that write answers. Without it, Allma still indexes and searches, ",
      "and answers with the best-matching passages.",
    ),
    h(
      "ol",
      {},
      h(
        "li",
        {},
        "Install it from ",
        command("ollama.com/download"),
        " on the machine Allma runs on.",
      ),
      h("li", {}, "Start it: open the Ollama app, or run ", command("ollama serve"), "."),
      h("li", {}, "Get a model: in Settings, or with ", command("ollama pull llama3.2"), "."),
    ),
    h(
      "p",
      { class: "soft" },
      `Allma looks for it at ${status?.ollama.url ?? "its usual address"} and notices by itself when it runs. `,
      "Another address: ",
      command("allma config set ollama_url URL"),
    ),
  ];
}
