--- Validates and stores the settings. They are declared in `reference.lua`.
local reference = require("allma.reference")

local M = {}

M.schema = reference.settings

---@param value any
local function strings(value)
  for key, item in pairs(value) do
    if type(key) ~= "number" or type(item) ~= "string" then
      return "must be a list of strings"
    end
  end
end

---@type table<string, string>
local KEYS = vim.iter(reference.keys):fold({}, function(keys, key)
  keys[key.name] = key.default
  return keys
end)

--- Descriptions of the chat's keys, by name.
---@type table<string, string>
M.key_descriptions = vim.iter(reference.keys):fold({}, function(descriptions, key)
  descriptions[key.name] = key.description
  return descriptions
end)

--- Further checks of values that have the right type; each returns the problem, or nil.
---@type table<string, fun(value: any): string?>
local CHECKS = {
  cmd = function(value)
    return strings(value) or (not value[1] and "must start with a program" or nil)
  end,
  root_markers = strings,
  chat_size = function(value)
    if value <= 0 or value > 1 then
      return "must be a fraction of the screen: above 0, at most 1"
    end
  end,
  keys = function(value)
    for name, key in pairs(value) do
      if KEYS[name] == nil then
        return ("has no key named %q; available: %s"):format(
          tostring(name),
          table.concat(vim.fn.sort(vim.tbl_keys(KEYS)), ", ")
        )
      elseif key ~= false and type(key) ~= "string" then
        return ("must have a string or false for %q"):format(name)
      end
    end
  end,
}

---@param setting allma.Setting
---@param value any
---@return string? problem
local function problem(setting, value)
  if not vim.list_contains(setting.type, type(value)) then
    local wanted = vim.tbl_filter(function(name)
      return name ~= "nil"
    end, setting.type)
    return ("must be a %s, not a %s"):format(table.concat(wanted, " or a "), type(value))
  end
  if
    setting.values
    and type(value) == "string"
    and not vim.list_contains(setting.values, value)
  then
    return "must be one of: " .. table.concat(setting.values, ", ")
  end
  local least, most = setting.least, setting.most
  if least and (value % 1 ~= 0 or value < least or value > most) then
    return ("must be a whole number from %d to %d"):format(least, most)
  end
  local check = CHECKS[setting.name]
  return check and check(value)
end

---@return string
local function unknown(name)
  local names = vim.tbl_map(function(setting)
    return setting.name
  end, M.schema)
  local near = vim.fn.matchfuzzy(names, tostring(name))[1]
  local hint = near and ("Did you mean %q?"):format(near)
    or ("Available: %s."):format(table.concat(names, ", "))
  return ("Allma has no setting named %q. %s"):format(tostring(name), hint)
end

--- Merges the given settings into the defaults. Invalid settings keep their default.
---@param given? table<string, any>
---@return allma.Config config
---@return string[] problems Sentences for the user.
function M.resolve(given)
  given = given or {}
  local config, problems, known = {}, {}, {}
  for _, setting in ipairs(M.schema) do
    known[setting.name] = true
    local value = given[setting.name]
    local wrong = value ~= nil and problem(setting, value) or nil
    if wrong then
      table.insert(problems, ("Allma: %s %s."):format(setting.name, wrong))
    end
    if value == nil or wrong then
      config[setting.name] = vim.deepcopy(setting.default)
    elseif setting.name == "keys" then
      config.keys = vim.tbl_extend("force", setting.default, value)
    else
      config[setting.name] = vim.deepcopy(value)
    end
  end
  for name in vim.spairs(given) do
    if not known[name] then
      table.insert(problems, unknown(name))
    end
  end
  return config, problems
end

---@type allma.Config?
local current

--- The current settings.
---@return allma.Config
function M.get()
  if not current then
    current = M.resolve()
  end
  return current
end

--- Replaces the current settings.
---@param given? table<string, any>
---@return string[] problems
function M.set(given)
  local problems
  current, problems = M.resolve(given)
  return problems
end

return M
