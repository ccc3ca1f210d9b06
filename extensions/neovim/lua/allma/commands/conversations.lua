local client = require("allma.client")
local errors = require("allma.errors")

---@type table<string, fun(conversation: allma.Conversation)>
local actions = {}

function actions.open(conversation)
  require("allma").chat(conversation.id)
end

function actions.rename(conversation)
  vim.ui.input({ prompt = "Title: ", default = conversation.title }, function(title)
    if not title or vim.trim(title) == "" then
      return
    end
    client.request("conversations.rename", { id = conversation.id, title = title }, function(err)
      if err then
        errors.show(err)
      end
    end)
  end)
end

function actions.delete(conversation)
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
  end)
end

function actions.export(conversation)
  client.request("conversations.export", { id = conversation.id }, function(err, exported)
    if err then
      return errors.show(err)
    end
    vim.cmd.new()
    vim.api.nvim_buf_set_lines(0, 0, -1, false, vim.split(exported.markdown, "\n"))
    vim.bo.filetype = "markdown"
  end)
end

---@param conversation allma.Conversation
---@return string
local function label(conversation)
  return ("%s  %s  (%d messages)"):format(
    conversation.updatedAt:sub(1, 10),
    conversation.title,
    conversation.messageCount
  )
end

---@type allma.Command
return {
  impl = function(given)
    local action = actions[given.args[1]]
    local words = action and given.text:gsub("^%S+%s*", "") or given.text
    local params = { query = words ~= "" and words or nil, limit = 200 }
    client.request("conversations.list", params, function(err, page)
      if err then
        return errors.show(err)
      elseif #page.conversations == 0 then
        return errors.notify("No conversations" .. (words ~= "" and " contain these words." or "."))
      end
      vim.ui.select(page.conversations, {
        prompt = "Conversation",
        kind = "allma.conversation",
        format_item = label,
      }, function(chosen)
        if chosen then
          (action or actions.open)(chosen)
        end
      end)
    end, { slot = "menu" })
  end,
  complete = function(lead, words)
    return #words == 0
        and require("allma.commands").matching(lead, { "delete", "export", "open", "rename" })
      or {}
  end,
}
