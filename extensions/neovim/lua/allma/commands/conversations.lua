local client = require("allma.client")
local conversations = require("allma.conversations")
local errors = require("allma.errors")

local ACTIONS = { "delete", "export", "open", "rename" }

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
    local action = vim.list_contains(ACTIONS, given.args[1]) and conversations[given.args[1]]
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
          (action or conversations.open)(chosen)
        end
      end)
    end, { slot = "menu" })
  end,
  complete = function(lead, words)
    return #words == 0 and require("allma.commands").matching(lead, ACTIONS) or {}
  end,
}
