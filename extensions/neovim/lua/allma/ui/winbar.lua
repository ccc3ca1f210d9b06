--- The bar above a chat: whether documents are used, and what questions are restricted to.
local config = require("allma.config")

local M = {}

M.EXPRESSION = "%{%v:lua.require'allma.ui.winbar'.text()%}"

---@param text string
---@return string
local function escaped(text)
  return (text:gsub("%%", "%%%%"))
end

--- The bar of the window that is drawn.
---@return string
function M.text()
  local chat = require("allma.ui.chats").of(vim.api.nvim_get_current_buf())
  if not chat then
    return ""
  end
  local key = config.get().keys.documents
  local hint = key and (" (%s)"):format(key) or ""
  local switch = ("%%@v:lua.require'allma.ui.winbar'.click@%s%s%%X"):format(
    chat.documents and "Documents: on" or "Documents: off",
    hint
  )
  local names = vim.tbl_map(function(path)
    return vim.fn.fnamemodify(path, ":~:.")
  end, chat.pins)
  local pinned = #names > 0 and "  only " .. escaped(table.concat(names, ", ")) or ""
  return " " .. switch .. "%<" .. pinned
end

--- Switches documents on or off in the chat that was clicked.
function M.click()
  local window = vim.fn.getmousepos().winid
  local chat = require("allma.ui.chats").of(vim.api.nvim_win_get_buf(window))
  if chat then
    chat:toggle_documents()
  end
end

return M
