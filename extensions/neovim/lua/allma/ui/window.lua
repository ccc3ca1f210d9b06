--- Opens and configures the window of a chat.
local config = require("allma.config")

local M = {}

---@param buf integer
---@param position string
---@param size number
local function open(buf, position, size)
  if position == "current" then
    vim.api.nvim_win_set_buf(0, buf)
  elseif position == "tab" then
    vim.cmd.tabnew()
    local empty = vim.api.nvim_get_current_buf()
    vim.api.nvim_win_set_buf(0, buf)
    vim.api.nvim_buf_delete(empty, {})
  elseif position == "float" then
    local width, height =
      math.floor(vim.o.columns * math.max(size, 0.6)), math.floor(vim.o.lines * 0.8)
    vim.api.nvim_open_win(buf, true, {
      relative = "editor",
      width = width,
      height = height,
      col = math.floor((vim.o.columns - width) / 2),
      row = math.floor((vim.o.lines - height) / 2) - 1,
      border = vim.o.winborder ~= "" and vim.o.winborder or "rounded",
      title = " Allma ",
    })
  else
    local beside = position == "right" or position == "left"
    vim.api.nvim_open_win(buf, true, {
      split = position,
      win = -1,
      width = beside and math.floor(vim.o.columns * size) or nil,
      height = not beside and math.floor(vim.o.lines * size) or nil,
    })
  end
end

--- Sets window-local options for text with long lines, for the buffer that is shown.
---@param window? any A window id; anything else means the current window.
function M.set_options(window)
  local options = vim.wo[type(window) == "number" and window or 0][0]
  options.wrap, options.linebreak, options.breakindent = true, true, true
  options.number, options.relativenumber, options.signcolumn = false, false, "no"
  -- Concealed Markdown has no brackets, and [2] would be part of the text.
  options.conceallevel = 0
  options.winbar = require("allma.ui.winbar").EXPRESSION
end

--- Shows a chat's buffer, in its existing window if there is one, with the cursor at the end.
---@param buf integer
function M.show(buf)
  local window = vim.iter(vim.api.nvim_tabpage_list_wins(0)):find(function(id)
    return vim.api.nvim_win_get_buf(id) == buf
  end)
  if window then
    vim.api.nvim_set_current_win(window)
  else
    local settings = config.get()
    open(buf, settings.chat_window, settings.chat_size)
  end
  vim.api.nvim_win_set_cursor(0, { vim.api.nvim_buf_line_count(buf), 0 })
end

return M
