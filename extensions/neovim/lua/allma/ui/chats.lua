--- All chats: their buffers, their keys, and the latest one.
local Chat = require("allma.ui.chat")
local config = require("allma.config")
local window = require("allma.ui.window")

local M = {}

---@type table<integer, allma.Chat>
local chats = {}
---@type allma.Chat?
local latest
local count = 0

local function show_keys()
  local keys = config.get().keys
  local shown = { { "<C-x><C-o>", "complete @ and the name of a file or folder, in insert mode" } }
  for _, name in ipairs(vim.fn.sort(vim.tbl_keys(keys))) do
    if keys[name] then
      table.insert(shown, { keys[name], config.key_descriptions[name] })
    end
  end
  window.show_keys(shown)
end

local INSERT_MODES = { send_insert = { "i" }, stop = { "n", "i" } }

---@type table<string, fun(chat: allma.Chat)>
local actions = {
  send = Chat.enter,
  send_insert = function(chat)
    vim.cmd.stopinsert()
    chat:send()
  end,
  open = Chat.open_source,
  preview = Chat.preview_source,
  stop = Chat.stop,
  regenerate = Chat.regenerate,
  edit = Chat.edit,
  new = function()
    M.new()
  end,
  documents = Chat.toggle_documents,
  pin = Chat.ask_pin,
  next = function()
    vim.fn.search("^## ", "W")
  end,
  previous = function()
    vim.fn.search("^## ", "bW")
  end,
  help = show_keys,
}

---@param buf integer
local function map_keys(buf)
  for name, key in pairs(config.get().keys) do
    if key then
      vim.keymap.set(INSERT_MODES[name] or { "n" }, key, function()
        if chats[buf] then
          actions[name](chats[buf])
        end
      end, { buffer = buf, desc = "Allma: " .. config.key_descriptions[name] })
    end
  end
end

--- Turns a buffer into the chat of a conversation, or of a new one.
---@param buf integer
---@param id? string
---@return allma.Chat
function M.attach(buf, id)
  local chat = chats[buf]
  if chat then
    chat:stop()
  end
  chat = Chat.new(buf, id)
  chats[buf], latest = chat, chat
  vim.bo[buf].buftype = "nofile"
  vim.bo[buf].bufhidden = "hide"
  vim.bo[buf].swapfile = false
  vim.bo[buf].filetype = "allma"
  vim.bo[buf].omnifunc = "v:lua.require'allma.scope'.complete"
  map_keys(buf)
  local group = vim.api.nvim_create_augroup("allma.chat." .. buf, {})
  vim.api.nvim_create_autocmd(
    "BufWinEnter",
    { group = group, buffer = buf, callback = window.set_options }
  )
  vim.tbl_map(window.set_options, vim.fn.win_findbuf(buf))
  vim.api.nvim_create_autocmd("BufEnter", {
    group = group,
    buffer = buf,
    callback = function()
      latest = chat
    end,
  })
  vim.api.nvim_create_autocmd("BufWipeout", {
    group = group,
    buffer = buf,
    callback = function()
      chat:stop()
      chats[buf] = nil
      latest = latest ~= chat and latest or nil
    end,
  })
  chat:start()
  return chat
end

---@return allma.Chat
local function create()
  count = count + 1
  local buf = vim.api.nvim_create_buf(false, true)
  vim.api.nvim_buf_set_name(buf, "allma://chat/" .. count)
  return M.attach(buf)
end

--- Opens a new chat.
---@return allma.Chat
function M.new()
  local chat = create()
  window.show(chat.buf)
  return chat
end

--- The latest chat, or a new one, which is not shown yet.
---@return allma.Chat
function M.latest()
  return latest and vim.api.nvim_buf_is_valid(latest.buf) and latest or create()
end

--- Shows the new title of a conversation that was renamed.
---@param id string
function M.refresh_title(id)
  for _, chat in pairs(chats) do
    if chat.id == id then
      chat:refresh_title()
    end
  end
end

--- The chat of a buffer.
---@param buf integer
---@return allma.Chat?
function M.of(buf)
  return chats[buf]
end

--- Shows the chat of a conversation; without `id`, the latest chat or a new one.
---@param id? string
---@return allma.Chat
function M.show(id)
  local chat = latest
  if id then
    chat = vim.iter(vim.tbl_values(chats)):find(function(known)
      return known.id == id
    end)
    if not chat then
      local buf = vim.fn.bufadd("allma://conversation/" .. id)
      vim.fn.bufload(buf)
      chat = chats[buf] or M.attach(buf, id)
    end
  end
  if not chat or not vim.api.nvim_buf_is_valid(chat.buf) then
    return M.new()
  end
  window.show(chat.buf)
  return chat
end

return M
