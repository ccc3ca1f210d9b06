/** The chat's webview: connects the chat with the extension. */
import "@vscode/codicons/dist/codicon.css";
import "./theme.css";
import "@allma/web/view/chat.css";
import type { ToView } from "@allma/web/chat/messages";
import { Chat } from "@allma/web/view/chat";
import type { Draft } from "@allma/web/view/composer";

/** The editor saves the draft while the view is hidden and across reloads. */
const editor = acquireVsCodeApi<Draft>();

const chat = new Chat(document.getElementById("app") as HTMLElement, {
  post: (message) => editor.postMessage(message),
  saveDraft: (draft) => editor.setState(draft),
  draft: editor.getState(),
});

addEventListener("message", ({ data }: MessageEvent<ToView>) => chat.receive(data));
