--- The text of a chat: a Markdown buffer with questions, answers, sources and an input area.
local location = require("allma.ui.location")

local M = {}

local NAMESPACE = vim.api.nvim_create_namespace("allma.chat")
local EXCERPT_LINES = 6
-- 'undolevels' of a buffer that follows the global value.
local NO_LOCAL_UNDOLEVELS = -123456

---@class allma.Turn
---@field mark integer Extmark at the heading of the answer.
---@field sources table<integer, allma.Source> By number.

---@class allma.Transcript
---@field buf integer
---@field private turns allma.Turn[]
---@field private source_marks table<integer, allma.Source>
---@field private input_mark? integer At the heading above the input area.
---@field private question_mark? integer At the heading above the last question.
---@field private answer_mark? integer
---@field private answer_row? integer First row of the answer that is being generated.
local Transcript = {}
Transcript.__index = Transcript

---@param buf integer
---@return allma.Transcript
function M.new(buf)
  return setmetatable({ buf = buf, turns = {}, source_marks = {} }, Transcript)
end

---@param text string
---@return string[]
local function to_lines(text)
  return vim.split(text:gsub("\r", ""), "\n", { plain = true })
end

--- Runs `change` on the buffer without undo history; windows at its end stay at the end.
---@param change fun()
function Transcript:write(change)
  local following = vim.tbl_filter(function(window)
    return vim.api.nvim_win_get_cursor(window)[1] == vim.api.nvim_buf_line_count(self.buf)
  end, vim.fn.win_findbuf(self.buf))
  local was_modifiable = vim.bo[self.buf].modifiable
  vim.bo[self.buf].modifiable = true
  vim.bo[self.buf].undolevels = -1
  change()
  vim.bo[self.buf].undolevels = NO_LOCAL_UNDOLEVELS
  vim.bo[self.buf].modifiable = was_modifiable
  vim.bo[self.buf].modified = false
  local last = vim.api.nvim_buf_line_count(self.buf)
  for _, window in ipairs(following) do
    vim.api.nvim_win_set_cursor(window, { last, 0 })
  end
end

---@param lines string[]
---@return integer row The row of the first line.
function Transcript:append(lines)
  local row = vim.api.nvim_buf_line_count(self.buf)
  vim.api.nvim_buf_set_lines(self.buf, row, row, false, lines)
  return row
end

---@param row integer
---@param label? string
---@param id? integer
---@return integer
function Transcript:label(row, label, id)
  return vim.api.nvim_buf_set_extmark(self.buf, NAMESPACE, row, 0, {
    id = id,
    virt_text = label and label ~= "" and { { label, "Comment" } } or nil,
    virt_text_pos = "eol",
    right_gravity = false,
  })
end

---@param mark integer
---@return integer
function Transcript:row(mark)
  return vim.api.nvim_buf_get_extmark_by_id(self.buf, NAMESPACE, mark, {})[1] or 0
end

--- Clears the buffer.
---@param title string
function Transcript:clear(title)
  self.turns, self.source_marks = {}, {}
  self.input_mark, self.question_mark, self.answer_row = nil, nil, nil
  vim.api.nvim_buf_clear_namespace(self.buf, NAMESPACE, 0, -1)
  self:write(function()
    vim.api.nvim_buf_set_lines(self.buf, 0, -1, false, {})
    vim.api.nvim_buf_set_lines(self.buf, 0, 1, false, { "# " .. title:gsub("%s+", " ") })
  end)
end

---@param title string
function Transcript:set_title(title)
  self:write(function()
    vim.api.nvim_buf_set_lines(self.buf, 0, 1, false, { "# " .. title:gsub("%s+", " ") })
  end)
end

-- --- the question --------------------------------------------------------------------------

--- Adds the input area at the end, replacing an earlier one.
---@param label string
---@param draft? string
function Transcript:begin_input(label, draft)
  self:remove_from(self:input_row())
  self:write(function()
    local row = self:append({ "", "## You", "" })
    self:append(to_lines(draft or ""))
    self.input_mark = self:label(row + 1, label)
  end)
  vim.bo[self.buf].modifiable = true
end

--- The first row of the input area; nil if there is none.
---@return integer?
function Transcript:input_row()
  return self.input_mark and self:row(self.input_mark)
end

--- The typed text.
---@return string
function Transcript:input()
  local row = self:input_row()
  if not row then
    return ""
  end
  local lines = vim.api.nvim_buf_get_lines(self.buf, row, -1, false)
  if lines[1] and lines[1]:find("^## You%s*$") then
    table.remove(lines, 1)
  end
  return vim.trim(table.concat(lines, "\n"))
end

--- Replaces the input area with a question, and locks the buffer until the next input.
---@param text string
function Transcript:set_question(text)
  local row = self:input_row()
  self:write(function()
    if row then
      vim.api.nvim_buf_del_extmark(self.buf, NAMESPACE, self.input_mark)
      vim.api.nvim_buf_set_lines(self.buf, row, -1, false, { "## You", "" })
    else
      row = self:append({ "", "## You", "" }) + 1
    end
    self:append(to_lines(text))
    self.question_mark = self:label(row)
  end)
  self.input_mark = nil
  vim.bo[self.buf].modifiable = false
end

--- Removes the last question and everything below it.
function Transcript:remove_last_question()
  local row = self.question_mark and self:row(self.question_mark)
  self:remove_from(row)
  self.turns = vim.tbl_filter(function(turn)
    return not row or self:row(turn.mark) < row
  end, self.turns)
  self.question_mark = nil
end

--- Removes everything from the blank line above a row.
---@param row? integer
function Transcript:remove_from(row)
  if row then
    self:write(function()
      vim.api.nvim_buf_clear_namespace(self.buf, NAMESPACE, row, -1)
      vim.api.nvim_buf_set_lines(self.buf, row - 1, -1, false, {})
    end)
    self.input_mark = nil
  end
end

-- --- the answer ----------------------------------------------------------------------------

---@param label? string
function Transcript:begin_answer(label)
  self:write(function()
    local row = self:append({ "", "## Allma", "", "" })
    self.answer_mark = self:label(row + 1, label)
    self.answer_row = row + 3
  end)
end

---@param label string
function Transcript:label_answer(label)
  self:label(self:row(self.answer_mark), label, self.answer_mark)
end

--- Adds what the model thought above its answer, folded.
---@param text string
function Transcript:add_thinking(text)
  local first = self.answer_row
  self:write(function()
    local lines = { "> Thinking" }
    for _, line in ipairs(to_lines(vim.trim(text))) do
      table.insert(lines, "> " .. line)
    end
    vim.api.nvim_buf_set_lines(self.buf, first, first, false, vim.list_extend(lines, { "" }))
    self.answer_row = first + #lines
  end)
  for _, window in ipairs(vim.fn.win_findbuf(self.buf)) do
    vim.wo[window][0].foldmethod = "manual"
    vim.api.nvim_win_call(window, function()
      vim.cmd(("%d,%dfold"):format(first + 1, self.answer_row - 1))
    end)
  end
end

---@param text string
function Transcript:stream(text)
  self:write(function()
    local row = vim.api.nvim_buf_line_count(self.buf) - 1
    local column = #vim.api.nvim_buf_get_lines(self.buf, row, row + 1, false)[1]
    vim.api.nvim_buf_set_text(self.buf, row, column, row, column, to_lines(text))
  end)
end

--- Whether any text of the answer was received.
---@return boolean
function Transcript:has_answer()
  return vim.api.nvim_buf_line_count(self.buf) > self.answer_row + 1
    or vim.api.nvim_buf_get_lines(self.buf, self.answer_row, -1, false)[1] ~= ""
end

--- Ends the answer; `text` is its final text, with checked citations.
---@param label string
---@param text? string
function Transcript:end_answer(label, text)
  self:write(function()
    if text then
      local lines = to_lines(text)
      local shown = vim.api.nvim_buf_get_lines(self.buf, self.answer_row, -1, false)
      if not vim.deep_equal(lines, shown) then
        vim.api.nvim_buf_set_lines(self.buf, self.answer_row, -1, false, lines)
      end
    end
    self:label(self:row(self.answer_mark), label, self.answer_mark)
  end)
  table.insert(self.turns, { mark = self.answer_mark, sources = {} })
end

---@param text string
---@return string[]
local function excerpt(text)
  local lines = {}
  for _, line in ipairs(to_lines(vim.trim(text))) do
    if #lines == EXCERPT_LINES then
      table.insert(lines, "  > …")
      break
    end
    table.insert(lines, "  > " .. line)
  end
  return lines
end

--- Lists the sources below the last answer.
---@param sources { number: integer, source: allma.Source, dim?: boolean }[]
---@param with_text boolean Whether to show the text of the passages.
function Transcript:add_sources(sources, with_text)
  if #sources == 0 then
    return
  end
  local turn = self.turns[#self.turns]
  self:write(function()
    self:append({ "", "Sources:", "" })
    for _, item in ipairs(sources) do
      local source, heading = item.source, location.heading(item.source)
      local line = ("- [%d] %s"):format(item.number, location.label(source))
        .. (heading ~= "" and " · " .. heading or "")
        .. (source.stale and " (changed since it was indexed)" or "")
        .. (source.unsaved and " (unsaved)" or "")
        .. (source.suspicious and " (possible prompt injection)" or "")
      local row = self:append({ line })
      local mark = vim.api.nvim_buf_set_extmark(self.buf, NAMESPACE, row, 0, {
        end_row = row,
        end_col = #line,
        hl_group = item.dim and "Comment" or "Directory",
        priority = 200,
      })
      self.source_marks[mark] = source
      turn.sources[item.number] = source
      if with_text then
        self:append(excerpt(source.text))
      end
    end
  end)
end

--- Adds a note by the extension, set apart from the model's text.
---@param text string
function Transcript:add_note(text)
  self:write(function()
    local lines = { "" }
    if self.answer_row and not self:has_answer() then
      vim.api.nvim_buf_set_lines(self.buf, self.answer_row, -1, false, {})
      lines = {}
    end
    for _, line in ipairs(to_lines(text)) do
      table.insert(lines, "> " .. line)
    end
    local row = self:append(lines)
    vim.api.nvim_buf_set_extmark(self.buf, NAMESPACE, row, 0, {
      end_row = row + #lines,
      hl_group = "DiagnosticWarn",
      hl_eol = true,
      strict = false,
    })
  end)
end

-- --- at the cursor -------------------------------------------------------------------------

--- The bracketed number at a column, else the first one in the line.
---@param line string
---@param column integer From 0.
---@return integer?
local function cited_number(line, column)
  local first
  local from = 1
  while true do
    local start, stop, number = line:find("%[(%d+)%]", from)
    if not start then
      return first
    elseif start - 1 <= column and column < stop then
      return tonumber(number)
    end
    first = first or tonumber(number)
    from = stop + 1
  end
end

--- The source at a position: an entry of the list of sources, or `[2]` in an answer.
---@param row integer From 0.
---@param column integer From 0.
---@return allma.Source?
function Transcript:source_at(row, column)
  local marks = vim.api.nvim_buf_get_extmarks(self.buf, NAMESPACE, { row, 0 }, { row, -1 }, {})
  for _, mark in ipairs(marks) do
    if self.source_marks[mark[1]] then
      return self.source_marks[mark[1]]
    end
  end
  local line = vim.api.nvim_buf_get_lines(self.buf, row, row + 1, false)[1] or ""
  local number = cited_number(line, column)
  for i = #self.turns, 1, -1 do
    if number and self:row(self.turns[i].mark) <= row then
      return self.turns[i].sources[number]
    end
  end
end

return M
