--- Options of questions and searches, which stand before the text: `++top=8 ++path=docs/** words`.
local client = require("allma.client")
local server = require("allma.server")

local M = {}

---@class allma.Option
---@field desc string
---@field value? "number"|"string" Its kind; without one the option stands alone.
---@field apply fun(params: table, value: any)

---@type table<string, allma.Option>
M.all = {
  all = {
    desc = "look in all that is indexed, not only in open projects",
    apply = function(params)
      params.workspace = "all"
    end,
  },
  path = {
    desc = "only in files that match this glob",
    value = "string",
    apply = function(params, value)
      params.path = value
    end,
  },
  top = {
    desc = "so many passages",
    value = "number",
    apply = function(params, value)
      params.topK = value
    end,
  },
  model = {
    desc = "answered by this model",
    value = "string",
    apply = function(params, value)
      params.model = value
    end,
  },
  plain = {
    desc = "answered without documents",
    apply = function(params)
      params.useRag = false
    end,
  },
}

M.for_ask = { "all", "path", "top", "model", "plain" }
M.for_search = { "all", "path", "top" }

--- Takes the options off the front of a text.
---@param text string
---@param allowed string[]
---@return table? params Nil when an option is wrong.
---@return string rest What follows them; the complaint when an option is wrong.
function M.parse(text, allowed)
  local params = {}
  while true do
    local word, rest = text:match("^%+%+(%S+)%s*(.*)$")
    if not word then
      return params, text
    end
    local name, value = word:match("^([^=]+)=?(.*)$")
    local option = vim.list_contains(allowed, name) and M.all[name]
    if not option then
      return nil,
        ("There is no option ++%s; there are: ++%s."):format(word, table.concat(allowed, ", ++"))
    end
    local given = option.value == "number" and tonumber(value) or value
    if option.value and (value == "" or type(given) ~= option.value) then
      return nil,
        ("The option ++%s needs a value, as in ++%s=%s."):format(
          name,
          name,
          option.value == "number" and "8" or "…"
        )
    end
    option.apply(params, given)
    text = rest
  end
end

---@param lead string
---@param allowed string[]
---@return string[]
function M.complete(lead, allowed)
  local model = lead:match("^%+%+model=(.*)$")
  if model and server.running() then
    local _, list = client.request_sync("models.list", {}, 1)
    return vim.tbl_map(function(known)
      return "++model=" .. known.name
    end, list and list.models or {})
  end
  local words = vim.tbl_map(function(name)
    return "++" .. name .. (M.all[name].value and "=" or "")
  end, allowed)
  return require("allma.commands").matching(lead, words)
end

return M
