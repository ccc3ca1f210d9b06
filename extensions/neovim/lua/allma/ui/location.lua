--- The location of a passage: as a label, and opened in a window.
local errors = require("allma.errors")

local M = {}

-- Formats whose passages have lines of the extracted text, not of the file.
local EXTRACTED = { docx = true, html = true, htm = true, xhtml = true, ipynb = true, pdf = true }

---@alias allma.Source allma.Passage|allma.MessageSource

---@param text string
---@return string
local function on_one_line(text)
  return (text:gsub("%s+", " "))
end

--- The path with lines or page, such as `docs/guide.md:12-30` or `report.pdf, page 4`.
---@param source allma.Source
---@return string
function M.label(source)
  local path = on_one_line(vim.fn.fnamemodify(source.path, ":~:."))
  if source.page then
    return ("%s, page %d"):format(path, source.page)
  elseif source.endLine > source.startLine then
    return ("%s:%d-%d"):format(path, source.startLine, source.endLine)
  end
  return ("%s:%d"):format(path, source.startLine)
end

--- The headings above a passage, such as `Install › Linux`; empty if there are none.
---@param source allma.Source
---@return string
function M.heading(source)
  return on_one_line(table.concat(source.heading, " › "))
end

--- The URI of the document's extracted text.
---@param source allma.Source
---@return string
function M.extracted_uri(source)
  return ("allma://document/%d"):format(source.documentId)
end

--- The file or URI to open, in which the passage's line numbers apply.
---@param source allma.Source
---@return string
function M.target(source)
  local extension = vim.fn.fnamemodify(source.path, ":e"):lower()
  if EXTRACTED[extension] or vim.fn.filereadable(source.path) == 0 then
    return M.extracted_uri(source)
  end
  return source.path
end

-- Enters a window that shows a file, not a chat or a list.
local function enter_file_window()
  local candidates = { vim.fn.win_getid(vim.fn.winnr("#")) }
  vim.list_extend(candidates, vim.api.nvim_tabpage_list_wins(0))
  table.insert(candidates, 1, vim.api.nvim_get_current_win())
  for _, window in ipairs(candidates) do
    if vim.api.nvim_win_is_valid(window) and vim.api.nvim_win_get_config(window).relative == "" then
      local buffer = vim.bo[vim.api.nvim_win_get_buf(window)]
      local shows_text = buffer.buftype == "" or vim.b[vim.api.nvim_win_get_buf(window)].allma_text
      if shows_text and not vim.wo[window].winfixbuf then
        return vim.api.nvim_set_current_win(window)
      end
    end
  end
  vim.cmd("topleft vsplit")
end

---@param target string
---@param line integer
local function edit(target, line)
  enter_file_window()
  vim.cmd("normal! m'")
  local ok, failure = pcall(vim.cmd.edit, vim.fn.fnameescape(target))
  if not ok then
    -- For example E37: the window's file has unsaved changes.
    ok = pcall(vim.cmd.split, vim.fn.fnameescape(target))
  end
  if not ok then
    return errors.notify(tostring(failure), vim.log.levels.ERROR)
  end
  local last = vim.api.nvim_buf_line_count(0)
  vim.api.nvim_win_set_cursor(0, { math.min(line, last), 0 })
  vim.cmd("normal! zvzz")
end

--- Opens a passage at its line. A PDF page opens in the system's viewer, or as text without one.
---@param source allma.Source
function M.open(source)
  if source.page and vim.fn.filereadable(source.path) == 1 then
    local viewer, failure = vim.ui.open(source.path)
    if viewer then
      return errors.notify(M.label(source))
    end
    errors.notify(
      ("%s Showing the extracted text."):format(failure or "No viewer."),
      vim.log.levels.WARN
    )
  end
  edit(M.target(source), source.startLine)
end

--- Shows a passage's text as it is in a floating window, with the colours of its file type.
---@param source allma.Source
function M.preview(source)
  local lines = vim.split(source.text, "\r?\n")
  if #source.heading > 0 then
    lines = vim.list_extend({ M.heading(source), "" }, lines)
  end
  local buf, window = vim.lsp.util.open_floating_preview(lines, "text", {
    border = vim.o.winborder ~= "" and vim.o.winborder or "rounded",
    focus_id = "allma.passage",
    max_width = math.min(90, vim.o.columns - 4),
    title = M.label(source),
  })
  -- Not as Markdown that is concealed: that would hide brackets, backticks and stars.
  vim.wo[window].conceallevel = 0
  vim.wo[window].linebreak = true
  local filetype = vim.filetype.match({ filename = source.path }) or "text"
  local language = vim.treesitter.language.get_lang(filetype)
  if not language or not pcall(vim.treesitter.start, buf, language) then
    vim.bo[buf].syntax = filetype
  end
end

return M
