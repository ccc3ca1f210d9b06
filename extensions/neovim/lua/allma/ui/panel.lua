--- The panel of conversations: a narrow window with one line for each, the latest first.
local client = require("allma.client")
local conversations = require("allma.conversations")
local errors = require("allma.errors")

local M = {}

local NAME = "allma://conversations"
local WIDTH = 32
local PAGE = 100
local NAMESPACE = vim.api.nvim_create_namespace("allma.panel")
local OLDER = "Older conversations…"
local HELP = {
  { "<CR>", "open" },
  { "gN", "new" },
  { "r", "rename" },
  { "d", "delete" },
  { "x", "export" },
  { "R", "refresh" },
  { "q", "close" },
}

---@type integer?
local buf
---@type allma.Conversation[]
local shown = {}
---@type string?
local cursor

---@return integer? window
local function window()
  return buf and vim.fn.win_findbuf(buf)[1]
end

---@param conversation allma.Conversation
---@return string
local function line(conversation)
  local title = conversation.title:gsub("%s+", " ")
  return ("%s  %s"):format(conversation.updatedAt:sub(6, 10), title)
end

local function draw()
  local lines = vim.tbl_map(line, shown)
  if cursor then
    table.insert(lines, OLDER)
  elseif #lines == 0 then
    lines = { "No conversations." }
  end
  vim.bo[buf].modifiable = true
  vim.api.nvim_buf_set_lines(buf, 0, -1, false, lines)
  vim.bo[buf].modifiable = false
  vim.api.nvim_buf_clear_namespace(buf, NAMESPACE, 0, -1)
  for row = 1, #shown do
    vim.api.nvim_buf_set_extmark(buf, NAMESPACE, row - 1, 0, { end_col = 5, hl_group = "Comment" })
  end
end

---@param from? string The cursor of a page; nil for the first one.
local function load(from)
  client.request("conversations.list", { cursor = from, limit = PAGE }, function(err, page)
    if not buf or not vim.api.nvim_buf_is_valid(buf) then
      return
    elseif err then
      return errors.show(err)
    end
    shown = from and vim.list_extend(shown, page.conversations) or page.conversations
    -- JSON's null is vim.NIL.
    cursor = type(page.nextCursor) == "string" and page.nextCursor or nil
    draw()
  end, { slot = "panel" })
end

--- Loads the conversations again, if the panel is visible.
function M.refresh()
  if window() then
    load()
  end
end

---@param action allma.ConversationAction
local function on_conversation(action)
  return function()
    local row = vim.api.nvim_win_get_cursor(0)[1]
    if shown[row] then
      action(shown[row], M.refresh)
    elseif cursor then
      load(cursor)
    end
  end
end

local KEYS = {
  ["<CR>"] = on_conversation(function(conversation)
    vim.cmd.wincmd("p")
    conversations.open(conversation)
  end),
  ["gN"] = function()
    vim.cmd.wincmd("p")
    require("allma.ui.chats").new()
  end,
  r = on_conversation(conversations.rename),
  d = on_conversation(conversations.delete),
  x = on_conversation(function(conversation)
    vim.cmd.wincmd("p")
    conversations.export(conversation)
  end),
  R = M.refresh,
  q = function()
    M.toggle()
  end,
  ["g?"] = function()
    require("allma.ui.window").show_keys(HELP)
  end,
}

local function create()
  buf = vim.api.nvim_create_buf(false, true)
  vim.api.nvim_buf_set_name(buf, NAME)
  vim.bo[buf].bufhidden = "wipe"
  vim.bo[buf].filetype = "allma-conversations"
  for key, run in pairs(KEYS) do
    vim.keymap.set("n", key, run, { buffer = buf, nowait = true, desc = "Allma: conversations" })
  end
end

--- Opens the panel at the left, or closes it.
function M.toggle()
  local open = window()
  if open then
    -- The last window cannot be closed.
    return pcall(vim.api.nvim_win_close, open, true)
  end
  create()
  vim.api.nvim_open_win(buf, true, {
    split = "left",
    win = -1,
    width = math.min(WIDTH, math.floor(vim.o.columns / 2)),
  })
  local options = vim.wo[0][0]
  options.wrap, options.cursorline, options.winfixwidth = false, true, true
  options.number, options.relativenumber, options.signcolumn = false, false, "no"
  options.winbar = "Conversations (g? keys)"
  load()
end

return M
