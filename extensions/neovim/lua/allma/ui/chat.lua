--- A conversation in a buffer, with the answer that is being written.
local client = require("allma.client")
local config = require("allma.config")
local errors = require("allma.errors")
local places = require("allma.ui.places")
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
---@field id? string The conversation's; nil until the first answer.
---@field call? allma.Call What is under way.
---@field private text allma.Transcript
---@field private loading boolean
---@field private last? { question: string, options?: allma.AskOptions, at?: string }
---@field private draft string
local Chat = {}
Chat.__index = Chat

local NO_SOURCES = "No passage was found for this. :Allma status tells what is indexed so far."

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

---@param options? allma.AskOptions
---@return boolean
local function wants_sources(options)
  return not options or options.useRag ~= false
end

---@param answer allma.Answer
---@return string
local function answered_label(answer)
  local seconds = ("%.1f s"):format(answer.stats.totalMs / 1000)
  local label = answer.model and (answer.model .. ", " .. seconds) or "passages only"
  return answer.stats.truncated and label .. ", cut at the length limit" or label
end

--- Asks a question, and shows its answer as it comes.
---@param question string
---@param options? allma.AskOptions
function Chat:ask(question, options)
  if self.loading then
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
  -- In the form of the server's times, so that they can be compared.
  local now = os.date("!%Y-%m-%dT%H:%M:%S") --[[@as string]]
  self.last = { question = question, options = options, at = now }
  if not self.id then
    self.text:retitle(vim.fn.strcharpart(question, 0, 60))
  end
  self.text:put_question(question)
  self.text:begin_answer(answering_label())
  local params =
    vim.tbl_extend("force", options or {}, { question = question, conversationId = self.id })
  self.call = client.request("ask", params, function(err, answer)
    self:answered(err, answer)
  end, {
    title = "answering",
    on_chunk = function(chunk)
      if chunk.kind == "chunk" and vim.api.nvim_buf_is_valid(self.buf) then
        self.text:stream(chunk.text)
      end
    end,
  })
end

---@param err? allma.Error
---@param answer? allma.Answer
function Chat:answered(err, answer)
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
    if #sources == 0 and wants_sources(self.last.options) then
      self.text:note(NO_SOURCES)
    end
    self:identify(answer.conversationId)
  elseif err then
    self.text:end_answer("")
    self.text:note(errors.text(err))
    if not self.id and self.last then
      self:look_for_itself()
    end
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

--- Finds the conversation that began with a question whose answer never came.
function Chat:look_for_itself()
  local question, asked_at = self.last.question, self.last.at
  client.request("conversations.list", { limit = 3 }, function(_, page)
    for _, conversation in ipairs(page and page.conversations or {}) do
      local may_be = conversation.messageCount <= 2 and conversation.createdAt >= asked_at
      if may_be and vim.api.nvim_buf_is_valid(self.buf) then
        client.request("conversations.show", { id = conversation.id }, function(_, shown)
          local first = shown and shown.messages[1]
          if first and first.content == question and not self.id then
            self:identify(conversation.id)
          end
        end)
      end
    end
  end)
end

--- Asks the last question again.
function Chat:regenerate()
  if not self.last then
    return errors.tell("There is no question yet.")
  end
  self:ask(self.last.question, self.last.options)
end

--- Stops the answer; what has come stays.
function Chat:stop()
  if self.call then
    self.call.cancel()
  end
end

--- Sends what is typed.
function Chat:send()
  self:ask(self.text:input(), self.last and self.last.options)
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
    self.last = { question = message.content }
    return
  end
  self.text:begin_answer()
  self.text:end_answer(message.model or "passages only", message.content)
  local sources = vim.tbl_map(function(source)
    return { number = source.number, source = source }
  end, message.sources)
  self.text:add_sources(sources, message.model == nil)
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
    if err then
      self.id = nil
      errors.show(err)
    end
    self.text:begin_input(input_label())
    if asked then
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
  }, Chat)
end

return Chat
