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

--- Shows keys in a floating window, which `q` and leaving it close.
---@param keys [string, string][] Each with its description.
function M.show_keys(keys)
  local widest = 0
  for _, key in ipairs(keys) do
    widest = math.max(widest, vim.fn.strdisplaywidth(key[1]))
  end
  local lines = vim.tbl_map(function(key)
    return (" %s%s  %s "):format(key[1], (" "):rep(widest - #key[1]), key[2])
  end, keys)
  local buf = vim.api.nvim_create_buf(false, true)
  vim.bo[buf].bufhidden = "wipe"
  vim.api.nvim_buf_set_lines(buf, 0, -1, false, lines)
  vim.bo[buf].modifiable = false
  local width = math.max(unpack(vim.tbl_map(vim.fn.strdisplaywidth, lines)))
  -- Not `open_floating_preview`: it is no wider than the window, and a chat is narrow.
  local window = vim.api.nvim_open_win(buf, true, {
    relative = "editor",
    anchor = "SE",
    row = vim.o.lines - vim.o.cmdheight - 1,
    col = vim.o.columns,
    width = math.min(width, vim.o.columns - 2),
    height = math.min(#lines, math.max(1, vim.o.lines - 4)),
    style = "minimal",
    border = vim.o.winborder ~= "" and vim.o.winborder or "rounded",
    title = " Keys ",
  })
  local function close()
    pcall(vim.api.nvim_win_close, window, true)
  end
  for _, key in ipairs({ "q", "<Esc>", "g?" }) do
    vim.keymap.set("n", key, close, { buffer = buf, nowait = true })
  end
  vim.api.nvim_create_autocmd("WinLeave", { buffer = buf, once = true, callback = close })
end

return M
