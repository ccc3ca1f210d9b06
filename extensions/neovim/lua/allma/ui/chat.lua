--- A conversation in a buffer, with the answer that is being written.
local client = require("allma.client")
local config = require("allma.config")
local errors = require("allma.errors")
local places = require("allma.ui.places")
local steps = require("allma.steps")
local transcript = require("allma.ui.transcript")

---@class allma.AskOptions
---@field useRag? boolean
---@field model? string
---@field topK? integer
---@field path? string
---@field workspace? string

---@class allma.SearchOptions
---@field topK? integer
---@field path? string
---@field workspace? string

---@class allma.Chat
---@field buf integer
---@field id? string The conversation's; nil until the first question is taken.
---@field call? allma.Call What is under way.
---@field private text allma.Transcript
---@field private loading boolean
---@field private last? { question: string, options?: allma.AskOptions, message?: string }
---@field private draft string
---@field private editing boolean Whether what is typed takes the place of the last question.
local Chat = {}
Chat.__index = Chat

local UNCITED = "This answer cites no source. Check it before relying on it."
local UNREAD = "What was said before is not shown; :edit reads it again."
local CUT_OFF = "This answer is incomplete: it was cut off."

-- --- asking --------------------------------------------------------------------------------

local function input_label()
  local keys = config.get().keys
  local parts = {}
  for _, pair in ipairs({ { "send", " sends" }, { "help", " shows keys" } }) do
    table.insert(parts, keys[pair[1]] and keys[pair[1]] .. pair[2] or nil)
  end
  return table.concat(parts, ", ")
end

local function answering_label()
  local key = config.get().keys.stop
  return key and ("answering, %s stops"):format(key) or "answering"
end

--- What kept an answer from being better, and what helps; empty for a good one.
---@param answer allma.Answer
---@return string
local function limits_of(answer)
  if answer.notice or answer.noticeCode then
    return steps.told(answer.notice, answer.noticeCode)
  end
  -- The answer itself says that no passage was found.
  local is_nothing = answer.grounding == "declined" and #answer.citations == 0
  return is_nothing and steps.nothing_found or ""
end

---@param answer allma.Answer
---@return string
local function answered_label(answer)
  local seconds = ("%.1f s"):format(answer.stats.totalMs / 1000)
  local bare = #answer.citations > 0 and "passages only" or ""
  local label = answer.model and (answer.model .. ", " .. seconds) or bare
  return answer.stats.truncated and label .. ", cut at the length limit" or label
end

--- Asks a question, and shows its answer as it comes.
---@param question string
---@param options? allma.AskOptions
---@param replaces? string The last question's message, whose place it takes.
function Chat:ask(question, options, replaces)
  if self.loading and not self.last then
    -- Asked when what was said before is there.
    self.last = { question = question, options = options }
    return
  elseif self.call then
    return errors.tell("Allma is still answering.", vim.log.levels.WARN)
  end
  question = vim.trim(question)
  if question == "" then
    return errors.tell("Type a question first.")
  end
  local typed = self.text:input()
  self.draft = typed ~= question and typed or ""
  self.last = { question = question, options = options, message = replaces }
  self.editing = false
  if replaces then
    self.text:rewind()
  end
  if not self.id then
    self.text:retitle(vim.fn.strcharpart(question, 0, 60))
  end
  self.text:put_question(question)
  self.text:begin_answer(answering_label())
  local params = vim.tbl_extend(
    "force",
    options or {},
    { question = question, conversationId = self.id, replaces = replaces }
  )
  self.call = client.request("ask", params, function(err, answer)
    self:answered(err, answer, replaces ~= nil)
  end, {
    title = "answering",
    on_chunk = function(chunk)
      self:receive(chunk)
    end,
  })
end

---@param chunk allma.AnswerStarted|allma.AnswerChunk|allma.AnswerSources
function Chat:receive(chunk)
  if not vim.api.nvim_buf_is_valid(self.buf) then
    return
  elseif chunk.kind == "started" then
    self.last.message = chunk.messageId
    self:identify(chunk.conversationId)
  elseif chunk.kind == "chunk" then
    self.text:stream(chunk.text)
  end
end

---@param err? allma.Error
---@param answer? allma.Answer
---@param in_place boolean Whether it was to take the place of another.
function Chat:answered(err, answer, in_place)
  self.call = nil
  if not vim.api.nvim_buf_is_valid(self.buf) then
    return
  end
  if answer then
    self.text:end_answer(answered_label(answer), answer.text)
    local bare = answer.mode == "passages_only"
    local sources = vim.tbl_map(function(citation)
      return {
        number = citation.number,
        source = citation.passage,
        dim = not (bare or citation.cited),
      }
    end, answer.citations)
    self.text:add_sources(sources, bare)
    if answer.grounding == "uncited" then
      self.text:note(UNCITED)
    end
    local limits = limits_of(answer)
    if limits ~= "" then
      self.text:note(limits)
    end
    if in_place then
      self:retitle()
    end
  elseif err and in_place and not self.text:has_answer() then
    -- What was to be replaced is still there.
    self.last = nil
    errors.show(err)
    return self:begin()
  elseif err then
    self.text:end_answer("")
    self.text:note(errors.text(err))
  end
  self.text:begin_input(input_label(), self.draft)
  self.draft = ""
end

--- Takes the conversation's id, and a name by which the buffer can be had again.
---@param id string
function Chat:identify(id)
  if self.id == id or not vim.api.nvim_buf_is_valid(self.buf) then
    return
  end
  self.id = id
  local before = vim.api.nvim_buf_get_name(self.buf)
  if pcall(vim.api.nvim_buf_set_name, self.buf, "allma://conversation/" .. id) then
    -- The old name stays behind as a buffer of its own.
    local left = vim.fn.bufnr("^" .. before .. "$")
    if left > 0 and left ~= self.buf then
      vim.api.nvim_buf_delete(left, { force = true })
    end
  end
end

--- The title of a conversation whose first question was replaced may be another now.
function Chat:retitle()
  client.request("conversations.show", { id = self.id }, function(_, conversation)
    if conversation and vim.api.nvim_buf_is_valid(self.buf) then
      self.text:retitle(conversation.title)
    end
  end)
end

--- Asks the last question again, in its own place.
function Chat:regenerate()
  if not self.last then
    return errors.tell("There is no question yet.")
  end
  self:ask(self.last.question, self.last.options, self.last.message)
end

--- Takes the last question up again; what is sent then takes its place.
function Chat:edit()
  if self.call then
    return errors.tell("Allma is still answering.", vim.log.levels.WARN)
  elseif not self.last or not self.last.message then
    return errors.tell("There is no question yet.")
  end
  self.editing = true
  self.text:begin_input("replaces the last question", self.last.question)
  vim.api.nvim_win_set_cursor(0, { vim.api.nvim_buf_line_count(self.buf), 0 })
end

--- Stops the answer; what has come stays.
function Chat:stop()
  if self.call then
    self.call.cancel()
  end
end

--- Sends what is typed.
function Chat:send()
  local last = self.last or {}
  self:ask(self.text:input(), last.options, self.editing and last.message or nil)
end

-- --- at the cursor -------------------------------------------------------------------------

---@return allma.Source?
function Chat:source()
  local position = vim.api.nvim_win_get_cursor(0)
  return self.text:source_at(position[1] - 1, position[2])
end

function Chat:open_source()
  local source = self:source()
  if source then
    places.open(source)
  else
    vim.cmd("normal! gf")
  end
end

function Chat:preview_source()
  local source = self:source()
  if source then
    places.preview(source)
  else
    errors.tell("There is no source under the cursor.")
  end
end

--- Opens the source under the cursor; below the last heading, sends what is typed.
function Chat:enter()
  local row = self.text:input_row()
  local source = self:source()
  if row and vim.api.nvim_win_get_cursor(0)[1] > row then
    self:send()
  elseif source then
    places.open(source)
  else
    vim.api.nvim_win_set_cursor(0, { vim.api.nvim_buf_line_count(self.buf), 0 })
  end
end

-- --- what was said before -----------------------------------------------------------------

---@param message allma.Message
function Chat:show_message(message)
  if message.role == "user" then
    self.text:put_question(message.content)
    self.last = { question = message.content, message = message.id }
    return
  end
  self.text:begin_answer()
  local bare = #message.sources > 0 and "passages only" or ""
  self.text:end_answer(message.model or bare, message.content)
  local sources = vim.tbl_map(function(source)
    return { number = source.number, source = source }
  end, message.sources)
  self.text:add_sources(sources, message.model == nil)
  if message.grounding == "uncited" then
    self.text:note(UNCITED)
  elseif message.grounding == "cut_off" then
    self.text:note(CUT_OFF)
  end
end

function Chat:load()
  self.loading = true
  self.call = client.request("conversations.show", { id = self.id }, function(err, conversation)
    self.call, self.loading = nil, false
    if not vim.api.nvim_buf_is_valid(self.buf) then
      return
    end
    local asked = self.last
    self.last = nil
    self.text:clear(conversation and conversation.title or "Chat")
    for _, message in ipairs(conversation and conversation.messages or {}) do
      self:show_message(message)
    end
    local is_gone = err and err.code == "conversation_not_found"
    if is_gone then
      self.id = nil
      errors.show(err)
    elseif err then
      -- It is still the one that is asked in: its name is the buffer's.
      self.text:note(errors.text(err) .. "\n" .. UNREAD)
    end
    local is_asked = asked and (conversation or is_gone)
    self.text:begin_input(input_label(), asked and not is_asked and asked.question or nil)
    if is_asked then
      self:ask(asked.question, asked.options)
    end
  end)
end

--- Shows the conversation from its beginning, or the place to type in.
function Chat:begin()
  self.text:clear(self.id and "…" or "New chat")
  if self.id then
    self:load()
  else
    self.text:begin_input(input_label())
  end
end

---@param buf integer
---@param id? string
---@return allma.Chat
function Chat.new(buf, id)
  return setmetatable({
    buf = buf,
    id = id,
    text = transcript.new(buf),
    loading = false,
    draft = "",
    editing = false,
  }, Chat)
end

return Chat
