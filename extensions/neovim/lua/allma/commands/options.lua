--- Options before the text of a question or search: `++top=8 ++path=docs/** words`.
local client = require("allma.client")
local reference = require("allma.reference")
local server = require("allma.server")

local M = {}

--- Applies each option to the parameters of a request.
---@type table<string, fun(params: table, value: any)>
local APPLY = {
  all = function(params)
    params.workspace = "all"
  end,
  path = function(params, value)
    params.path = value
  end,
  top = function(params, value)
    params.topK = value
  end,
  model = function(params, value)
    params.model = value
  end,
  plain = function(params)
    params.useRag = false
  end,
  deep = function(params)
    params.deep = true
  end,
  think = function(params, value)
    params.think = value
  end,
}

---@type table<string, { name: string, value?: "number"|"string", for_search?: boolean }>
local ALL = {}
M.for_ask, M.for_search = {}, {}
for _, option in ipairs(reference.options) do
  ALL[option.name] = option
  table.insert(M.for_ask, option.name)
  if option.for_search then
    table.insert(M.for_search, option.name)
  end
end

--- Splits a text into its leading options and the rest.
---@param text string
---@param allowed string[]
---@return table? params Nil if an option is invalid.
---@return string rest The text after the options, or the error message.
function M.parse(text, allowed)
  local params = {}
  while true do
    local word, rest = text:match("^%+%+(%S+)%s*(.*)$")
    if not word then
      return params, text
    end
    local name, value = word:match("^([^=]+)=?(.*)$")
    local option = vim.list_contains(allowed, name) and ALL[name]
    if not option then
      return nil,
        ("Unknown option ++%s; available: ++%s."):format(word, table.concat(allowed, ", ++"))
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
    APPLY[name](params, given)
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
    return "++" .. name .. (ALL[name].value and "=" or "")
  end, allowed)
  return require("allma.commands").matching(lead, words)
end

return M
