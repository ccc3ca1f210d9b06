--- What can be done with a stored conversation.
local client = require("allma.client")
local errors = require("allma.errors")

local M = {}

---@alias allma.ConversationAction fun(conversation: allma.Conversation, on_changed?: fun())

---@type allma.ConversationAction
function M.open(conversation)
  require("allma").chat(conversation.id)
end

---@type allma.ConversationAction
function M.rename(conversation, on_changed)
  vim.ui.input({ prompt = "Title: ", default = conversation.title }, function(title)
    if not title or vim.trim(title) == "" then
      return
    end
    client.request("conversations.rename", { id = conversation.id, title = title }, function(err)
      if err then
        return errors.show(err)
      end
      require("allma.ui.chats").refresh_title(conversation.id)
      if on_changed then
        on_changed()
      end
    end)
  end)
end

---@type allma.ConversationAction
function M.delete(conversation, on_changed)
  local question = ("Delete %q?"):format(conversation.title)
  if vim.fn.confirm(question, "&Delete\n&Keep", 2) ~= 1 then
    return
  end
  client.request("conversations.delete", { id = conversation.id }, function(err, done)
    if err then
      return errors.show(err)
    end
    local buf = vim.fn.bufnr("^allma://conversation/" .. conversation.id .. "$")
    if buf > 0 then
      vim.api.nvim_buf_delete(buf, { force = true })
    end
    errors.notify(done.message)
    if on_changed then
      on_changed()
    end
  end)
end

---@type allma.ConversationAction
function M.export(conversation)
  client.request("conversations.export", { id = conversation.id }, function(err, exported)
    if err then
      return errors.show(err)
    end
    vim.cmd.new()
    vim.api.nvim_buf_set_lines(0, 0, -1, false, vim.split(exported.markdown, "\n"))
    vim.bo.filetype = "markdown"
  end)
end

return M
