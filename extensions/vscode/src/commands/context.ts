/** The objects that every command works with. */
import type { ChatView } from "../chat/view";
import type { Conversations } from "../conversations";
import type { Ctx } from "../ctx";
import type { Documents } from "../documents";
import type { Report } from "../report";

export interface CommandContext {
  ctx: Ctx;
  chat: ChatView;
  conversations: Conversations;
  documents: Documents;
  report: Report;
}
