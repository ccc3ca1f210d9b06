--- `:Allma`. Each subcommand is one file, with its implementation and its completion.
local errors = require("allma.errors")
local reference = require("allma.reference")

local M = {}

---@class allma.CommandArguments
---@field args string[] The words after the subcommand.
---@field text string The same text as typed.
---@field selection? string The lines of the range, after a line with their location.

---@class allma.Command
---@field impl fun(given: allma.CommandArguments)
---@field complete? fun(lead: string, words: string[]): string[] `words`: the words before `lead`.

M.names = vim.tbl_map(function(command)
  return command.name
end, reference.commands)

---@param name string
---@return allma.Command
function M.get(name)
  return require("allma.commands." .. name)
end

---@param text string
---@return string first
---@return string rest
local function split_word(text)
  local first, rest = text:match("^%s*(%S*)%s*(.-)%s*$")
  return first, rest
end

--- Runs `:Allma ...`; without a subcommand, opens the chat.
---@param given vim.api.keyset.create_user_command.command_args
function M.run(given)
  local name, text = split_word(given.args)
  if name == "" then
    name = given.range > 0 and "ask" or "chat"
  end
  if not vim.list_contains(M.names, name) then
    local near = vim.fn.matchfuzzy(M.names, name)[1]
    local hint = near and ("Did you mean %q?"):format(near)
      or ("Available: %s."):format(table.concat(M.names, ", "))
    return errors.notify(("Unknown command :Allma %s. %s"):format(name, hint), vim.log.levels.ERROR)
  end
  M.get(name).impl({
    args = vim.split(text, "%s+", { trimempty = true }),
    text = text,
    selection = given.range > 0 and require("allma.selection").describe(given.line1, given.line2)
      or nil,
  })
end

--- Returns the candidates that start with `lead`.
---@param lead string
---@param candidates string[]
---@return string[]
function M.matching(lead, candidates)
  return vim.tbl_filter(function(candidate)
    return vim.startswith(candidate, lead)
  end, candidates)
end

---@param lead string
---@param line string The command line.
---@param position integer
---@return string[]
function M.complete(lead, line, position)
  local before = line:sub(1, position - #lead):gsub("^.-Allma%s*", "")
  local words = vim.split(before, "%s+", { trimempty = true })
  local name = table.remove(words, 1)
  if not name then
    return M.matching(lead, M.names)
  end
  local command = vim.list_contains(M.names, name) and M.get(name)
  return command and command.complete and command.complete(lead, words) or {}
end

return M
