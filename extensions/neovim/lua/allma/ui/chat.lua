--- A chat: one conversation in a buffer, and the answer that is being generated.
local client = require("allma.client")
local config = require("allma.config")
local errors = require("allma.errors")
local location = require("allma.ui.location")
local scope = require("allma.scope")
local steps = require("allma.steps")
local transcript = require("allma.ui.transcript")

---@class allma.AskOptions
---@field useRag? boolean
---@field deep? boolean
---@field think? "auto"|"on"|"off"
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
---@field id? string Id of the conversation; nil until the server stored the first question.
---@field call? allma.Call The running request.
---@field documents boolean Whether answers come from documents.
---@field pins string[] The files and folders that questions are restricted to.
---@field private text allma.Transcript
---@field private loading boolean
---@field private last? { question: string, options?: allma.AskOptions, message?: string }
---@field private draft string
---@field private thinks_since? integer Milliseconds, since the model thinks.
---@field private thought string What it thought, until the answer begins.
---@field private editing boolean Whether the typed text replaces the last question.
local Chat = {}
Chat.__index = Chat

--- The warnings that belong to answers, by their grounding.
local CAUTIONS = {
  uncited = "This answer cites no source. Check it before relying on it.",
  partial = "This answer contains a figure that no source has. Check it before relying on it.",
  disputed = "The sources disagree about this. Compare them before relying on this answer.",
}
local UNREAD = "Earlier messages could not be loaded; :edit tries again."
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

--- The notice of an answer with the next step; empty if there is none.
---@param answer allma.Answer
---@return string
local function notice_of(answer)
  if answer.notice or answer.noticeCode then
    return steps.append_to(answer.notice, answer.noticeCode)
  end
  -- The answer itself says that no passage was found; add only the next step.
  local is_nothing = answer.grounding == "declined" and #answer.citations == 0
  return is_nothing and steps.nothing_found or ""
end

---@param answer allma.Answer
---@return string
local function answered_label(answer)
  local seconds = ("%.1f s"):format(answer.stats.totalMs / 1000)
  local passages_only = #answer.citations > 0 and "passages only" or ""
  local label = answer.model and (answer.model .. ", " .. seconds) or passages_only
  local gate = answer.stats.gate
  if gate then
    local sure = ", %.0f %% sure that the sources have the answer (it answers above %.0f %%)"
    label = label .. sure:format(gate.probability * 100, gate.threshold * 100)
  end
  return answer.stats.truncated and label .. ", cut off at the length limit" or label
end

--- The parameters of a request: the options, and what questions are restricted to.
---@param question string
---@param options? allma.AskOptions
---@return table
function Chat:params(question, options)
  local params = vim.deepcopy(options or {})
  if params.useRag == false then
    self.documents = false
  end
  local paths, missing = scope.mentioned(question)
  for _, name in ipairs(missing) do
    local text = ("There is no file or folder %s; the question is asked without it."):format(name)
    errors.notify(text, vim.log.levels.WARN)
  end
  if #paths > 0 then
    self.documents = true
  end
  params.useRag = self.documents and params.useRag or self.documents
  vim.list_extend(paths, self.pins)
  if not params.workspace and not params.path then
    params = vim.tbl_extend("force", params, scope.params(paths))
  end
  return params
end

--- Asks a question, and streams the answer into the buffer.
---@param question string
---@param options? allma.AskOptions
---@param replaces? string Id of the message that the question replaces.
function Chat:ask(question, options, replaces)
  if self.loading and not self.last then
    -- Ask after the conversation has loaded.
    self.last = { question = question, options = options }
    return
  elseif self.call then
    return errors.notify("Allma is still answering.", vim.log.levels.WARN)
  end
  question = vim.trim(question)
  if question == "" then
    return errors.notify("Type a question first.")
  end
  local typed = self.text:input()
  self.draft = typed ~= question and typed or ""
  self.last = { question = question, options = options, message = replaces }
  self.editing = false
  if replaces then
    self.text:remove_last_question()
  end
  if not self.id then
    self.text:set_title(vim.fn.strcharpart(question, 0, 60))
  end
  self.text:set_question(question)
  self.thinks_since, self.thought = nil, ""
  self.text:begin_answer(answering_label())
  local params = vim.tbl_extend(
    "force",
    self:params(question, options),
    { question = question, conversationId = self.id, replaces = replaces }
  )
  self.call = client.request("ask", params, function(err, answer)
    self:on_answer(err, answer, replaces ~= nil)
  end, {
    title = "answering",
    on_chunk = function(chunk)
      self:on_chunk(chunk)
    end,
  })
end

---@param chunk allma.AnswerStarted|allma.AnswerStatus|allma.AnswerThinking|allma.AnswerChunk|allma.AnswerSources
function Chat:on_chunk(chunk)
  if not vim.api.nvim_buf_is_valid(self.buf) then
    return
  elseif chunk.kind == "started" then
    self.last.message = chunk.messageId
    self:set_id(chunk.conversationId)
  elseif chunk.kind == "status" then
    self.text:label_answer(("%s (%s)"):format(chunk.message, answering_label()))
  elseif chunk.kind == "thinking" then
    self.thinks_since = self.thinks_since or vim.uv.now()
    local seconds = math.floor((vim.uv.now() - self.thinks_since) / 1000)
    self.text:label_answer(("thinking… %d s (%s)"):format(seconds, answering_label()))
    self.thought = self.thought .. chunk.text
  elseif chunk.kind == "chunk" then
    if self.thought ~= "" then
      self.text:add_thinking(self.thought)
      self.text:label_answer(answering_label())
      self.thought = ""
    end
    self.text:stream(chunk.text)
  end
end

---@param err? allma.Error
---@param answer? allma.Answer
---@param in_place boolean Whether it replaces an earlier answer.
function Chat:on_answer(err, answer, in_place)
  self.call = nil
  if not vim.api.nvim_buf_is_valid(self.buf) then
    return
  end
  if answer then
    self.text:end_answer(answered_label(answer), answer.text)
    local passages_only = answer.mode == "passages_only"
    local sources = vim.tbl_map(function(citation)
      return {
        number = citation.number,
        source = citation.passage,
        dim = not (passages_only or citation.cited),
      }
    end, answer.citations)
    self.text:add_sources(sources, passages_only)
    local caution = CAUTIONS[answer.grounding]
    if caution then
      self.text:add_note(caution)
    end
    local notice = notice_of(answer)
    if notice ~= "" then
      self.text:add_note(notice)
    end
    if in_place then
      self:refresh_title()
    end
  elseif err and in_place and not self.text:has_answer() then
    -- The server still has the earlier answer.
    self.last = nil
    errors.show(err)
    return self:start()
  elseif err then
    self.text:end_answer("")
    self.text:add_note(errors.text(err))
  end
  self.text:begin_input(input_label(), self.draft)
  self.draft = ""
  require("allma.ui.panel").refresh()
end

--- Sets the conversation's id, and names the buffer after it.
---@param id string
function Chat:set_id(id)
  if self.id == id or not vim.api.nvim_buf_is_valid(self.buf) then
    return
  end
  self.id = id
  local before = vim.api.nvim_buf_get_name(self.buf)
  if pcall(vim.api.nvim_buf_set_name, self.buf, "allma://conversation/" .. id) then
    -- Renaming leaves a buffer with the old name.
    local left = vim.fn.bufnr("^" .. before .. "$")
    if left > 0 and left ~= self.buf then
      vim.api.nvim_buf_delete(left, { force = true })
    end
  end
end

--- Reloads the title, which changes when the first question is replaced.
function Chat:refresh_title()
  client.request("conversations.show", { id = self.id }, function(_, conversation)
    if conversation and vim.api.nvim_buf_is_valid(self.buf) then
      self.text:set_title(conversation.title)
    end
  end)
end

--- Repeats the last question; the new answer replaces the old one.
function Chat:regenerate()
  if not self.last then
    return errors.notify("There is no question yet.")
  end
  self:ask(self.last.question, self.last.options, self.last.message)
end

--- Edits the last question; the edited one replaces it.
function Chat:edit()
  if self.call then
    return errors.notify("Allma is still answering.", vim.log.levels.WARN)
  elseif not self.last or not self.last.message then
    return errors.notify("There is no question yet.")
  end
  self.editing = true
  self.text:begin_input("replaces the last question", self.last.question)
  vim.api.nvim_win_set_cursor(0, { vim.api.nvim_buf_line_count(self.buf), 0 })
end

--- Stops the answer; the text received so far stays.
function Chat:stop()
  if self.call then
    self.call.cancel()
  end
end

--- Sends the typed text.
function Chat:send()
  local last = self.last or {}
  self:ask(self.text:input(), last.options, self.editing and last.message or nil)
end

-- --- what questions are about ---------------------------------------------------------------

--- Switches between answers from documents and answers without them.
function Chat:toggle_documents()
  self.documents = not self.documents
  if self.last and self.last.options then
    self.last.options.useRag = nil
  end
  vim.cmd.redrawstatus({ bang = true })
end

--- Restricts questions to a file or folder, beside those that are pinned already.
---@param path string
function Chat:pin(path)
  if not vim.uv.fs_stat(path) then
    return errors.notify(("There is no file or folder %s."):format(path), vim.log.levels.ERROR)
  end
  if not vim.list_contains(self.pins, path) then
    table.insert(self.pins, path)
  end
  self.documents = true
  self:tell_pins()
end

---@param path string
function Chat:unpin(path)
  self.pins = vim.tbl_filter(function(pinned)
    return pinned ~= path
  end, self.pins)
  self:tell_pins()
end

---@private
function Chat:tell_pins()
  vim.cmd.redrawstatus({ bang = true })
  local names = vim.tbl_map(function(path)
    return vim.fn.fnamemodify(path, ":~:.")
  end, self.pins)
  local where = #names > 0 and "only from " .. table.concat(names, ", ") or "from all documents"
  errors.notify(("Questions in the chat are answered %s."):format(where))
end

--- Asks which file or folder to pin.
function Chat:ask_pin()
  vim.ui.input({ prompt = "Answer only from: ", completion = "file" }, function(name)
    if name and vim.trim(name) ~= "" then
      self:pin(scope.absolute(vim.trim(name)))
    end
  end)
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
    location.open(source)
  else
    vim.cmd("normal! gf")
  end
end

function Chat:preview_source()
  local source = self:source()
  if source then
    location.preview(source)
  else
    errors.notify("There is no source under the cursor.")
  end
end

--- Opens the source under the cursor; below the last heading, sends the typed text.
function Chat:enter()
  local row = self.text:input_row()
  local source = self:source()
  if row and vim.api.nvim_win_get_cursor(0)[1] > row then
    self:send()
  elseif source then
    location.open(source)
  else
    vim.api.nvim_win_set_cursor(0, { vim.api.nvim_buf_line_count(self.buf), 0 })
  end
end

-- --- loading ------------------------------------------------------------------------------

---@param message allma.Message
function Chat:show_message(message)
  if message.role == "user" then
    self.text:set_question(message.content)
    self.last = { question = message.content, message = message.id }
    return
  end
  self.text:begin_answer()
  local passages_only = #message.sources > 0 and "passages only" or ""
  self.text:end_answer(message.model or passages_only, message.content)
  local sources = vim.tbl_map(function(source)
    return { number = source.number, source = source }
  end, message.sources)
  self.text:add_sources(sources, message.model == nil)
  local caution = message.grounding == "cut_off" and CUT_OFF or CAUTIONS[message.grounding]
  if caution then
    self.text:add_note(caution)
  end
end

function Chat:load()
  self.loading = true
  self.call = client.request("conversations.show", { id = self.id }, function(err, conversation)
    self.call, self.loading = nil, false
    if not vim.api.nvim_buf_is_valid(self.buf) then
      return
    end
    local queued = self.last
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
      -- Keep the id: the next question still belongs to this conversation.
      self.text:add_note(errors.text(err) .. "\n" .. UNREAD)
    end
    local can_ask = queued and (conversation or is_gone)
    self.text:begin_input(input_label(), queued and not can_ask and queued.question or nil)
    if can_ask then
      self:ask(queued.question, queued.options)
    end
  end)
end

--- Loads the conversation, or shows an empty chat.
function Chat:start()
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
    documents = true,
    pins = {},
    loading = false,
    draft = "",
    thought = "",
    editing = false,
  }, Chat)
end

return Chat
