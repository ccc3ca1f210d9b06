--- What can be typed, pressed and set, as data: behind the commands, the checks and the help.
-- Written by `python -m extensions.generate`, which has it from extensions/generate/neovim.py and
-- from the server's settings.

---@class allma.Setting
---@field name string
---@field type string[] Lua types it may have.
---@field default any
---@field values? string[] The only strings it may be.
---@field least? integer
---@field most? integer
---@field of_server? boolean Handed to the server.

---@class allma.Config
---@field cmd string[]
---@field cmd_env table<string, string>
---@field attach boolean
---@field root_markers string[]
---@field chat_model? string
---@field top_k? integer
---@field workspace? string
---@field index_workspace_folders boolean
---@field results "auto"|"quickfix"|"select"|fun(passages: allma.Passage[], title: string)
---@field chat_window "right"|"left"|"above"|"below"|"float"|"tab"|"current"
---@field chat_size number
---@field keys table<string, string|false>

local M = {}

M.commands = {
  {
    name = "ask",
    usage = "[++option...] [question]",
    about = "Ask, and have the answer written into the chat. With a range, ask about those lines.",
  },
  { name = "chat", usage = "[new]", about = "Open the chat: the latest one, or a new one." },
  {
    name = "search",
    usage = "[++option...] [words]",
    about = "Find passages. With a range, find what belongs to those lines.",
  },
  {
    name = "explain",
    usage = "[++option...] [words]",
    about = "Show why a search finds what it finds: where each passage stood in each list, and why it is not shown.",
  },
  {
    name = "conversations",
    usage = "[open|rename|delete|export] [words]",
    about = "Choose an earlier chat, all or those with these words, and continue it (or rename, delete, export it).",
  },
  {
    name = "ingest",
    usage = "[path...]",
    about = "Index files and folders, and keep them indexed; the project, or the working directory, without a path.",
  },
  { name = "sync", usage = "", about = "Bring the index up to date with the disk now." },
  {
    name = "forget",
    usage = "[path]",
    about = "Take a file or folder out of the index; nothing on disk is touched. The current file without a path.",
  },
  {
    name = "documents",
    usage = "[indexed|skipped|failed]",
    about = "List the files that were seen, and why one was skipped or failed, in the quickfix list.",
  },
  {
    name = "models",
    usage = "[use|pull|delete] [name]",
    about = "Choose the model that answers; download or delete one.",
  },
  {
    name = "status",
    usage = "",
    about = "Show what is indexed and which models serve. :checkhealth allma checks everything.",
  },
  {
    name = "log",
    usage = "",
    about = "Open the server's log; Neovim's log of language servers when the server cannot be asked.",
  },
  {
    name = "stop",
    usage = "[server]",
    about = "Stop the answers and ingestions that are under way; or the server.",
  },
  { name = "restart", usage = "", about = "Start the server anew." },
}

M.options = {
  {
    name = "all",
    about = "look in all that is indexed, not only in open projects",
    for_search = true,
  },
  {
    name = "path",
    about = "only in files that match this glob",
    value = "string",
    for_search = true,
  },
  { name = "top", about = "so many passages", value = "number", for_search = true },
  { name = "model", about = "answered by this model", value = "string" },
  { name = "plain", about = "answered without documents" },
}

M.keys = {
  { name = "send", default = "<CR>", about = "send; on a source, open it" },
  { name = "send_insert", default = "<C-s>", about = "send, while inserting" },
  { name = "open", default = "gf", about = "open the source under the cursor" },
  { name = "preview", default = "K", about = "show the source's text" },
  { name = "stop", default = "<C-c>", about = "stop the answer" },
  { name = "regenerate", default = "gR", about = "ask the last question again, in its place" },
  { name = "edit", default = "gE", about = "edit the last question and ask it in its place" },
  { name = "new", default = "gN", about = "open a new chat" },
  { name = "next", default = "]]", about = "next heading" },
  { name = "previous", default = "[[", about = "previous heading" },
  { name = "help", default = "g?", about = "show these keys" },
}

---@type allma.Setting[]
M.settings = {
  { name = "cmd", type = { "table" }, default = { "allma-server", "lsp" } },
  { name = "cmd_env", type = { "table" }, default = {} },
  { name = "attach", type = { "boolean" }, default = true },
  { name = "root_markers", type = { "table" }, default = { ".allmaignore", ".git", ".hg", ".jj" } },
  { name = "chat_model", type = { "string", "nil" }, of_server = true },
  { name = "top_k", type = { "number", "nil" }, least = 1, most = 50, of_server = true },
  { name = "workspace", type = { "string", "nil" }, of_server = true },
  { name = "index_workspace_folders", type = { "boolean" }, default = true, of_server = true },
  {
    name = "results",
    type = { "string", "function" },
    default = "auto",
    values = { "auto", "quickfix", "select" },
  },
  {
    name = "chat_window",
    type = { "string" },
    default = "right",
    values = { "right", "left", "above", "below", "float", "tab", "current" },
  },
  { name = "chat_size", type = { "number" }, default = 0.4 },
  {
    name = "keys",
    type = { "table" },
    default = {
      send = "<CR>",
      send_insert = "<C-s>",
      open = "gf",
      preview = "K",
      stop = "<C-c>",
      regenerate = "gR",
      edit = "gE",
      new = "gN",
      next = "]]",
      previous = "[[",
      help = "g?",
    },
  },
}

return M
