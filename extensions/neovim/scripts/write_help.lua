-- Writes doc/allma.txt from scripts/help.txt, the commands and the settings.
--
--     nvim -l scripts/write_help.lua            writes the file
--     nvim -l scripts/write_help.lua --check    ends with 1 when it is not up to date
local script = vim.fn.fnamemodify(debug.getinfo(1, "S").source:sub(2), ":p")
local here = vim.fs.dirname(vim.fs.dirname(script))
vim.opt.runtimepath:prepend(here)

local config = require("allma.config")
local commands = require("allma.commands")
local options = require("allma.commands.options")

local WIDTH = 78

---@param text string
---@param indent integer
---@return string
local function wrapped(text, indent)
  local lines, line = {}, ""
  local pad = (" "):rep(indent)
  for word in text:gmatch("%S+") do
    if line ~= "" and #pad + #line + 1 + #word > WIDTH then
      table.insert(lines, pad .. line)
      line = word
    else
      line = line == "" and word or line .. " " .. word
    end
  end
  table.insert(lines, pad .. line)
  return table.concat(lines, "\n")
end

---@param text string
---@param tag string
---@return string
local function tagged(text, tag)
  return text .. (" "):rep(math.max(1, WIDTH - #text - #tag - 2)) .. "*" .. tag .. "*"
end

local function command_lines()
  return vim
    .iter(commands.names)
    :map(function(name)
      local command = commands.get(name)
      local usage = vim.trim(":Allma " .. name .. " " .. command.usage)
      return tagged(usage, ":Allma-" .. name) .. "\n" .. wrapped(command.desc, 8) .. "\n"
    end)
    :join("\n")
end

local function option_lines()
  return vim
    .iter(options.for_ask)
    :map(function(name)
      local option = options.all[name]
      local only_asks = not vim.list_contains(options.for_search, name)
      local usage = "++" .. name .. (option.value and "={" .. option.value .. "}" or "")
      return ("%-18s%s%s"):format(usage, option.desc, only_asks and " (questions only)" or "")
    end)
    :join("\n") .. "\n"
end

local function find_setting(name)
  return vim.iter(config.schema):find(function(setting)
    return setting.name == name
  end)
end

local function key_lines()
  local keys = find_setting("keys").default
  return vim
    .iter(vim.fn.sort(vim.tbl_keys(keys)))
    :map(function(name)
      return ("%-16s%-8s%s"):format(name, keys[name], config.key_meanings[name])
    end)
    :join("\n") .. "\n"
end

---@param setting allma.Setting
---@return string
local function default_of(setting)
  if setting.name == "keys" then
    return "see |allma-chat|"
  end
  return "`" .. vim.inspect(setting.default, { newline = "", indent = "" }) .. "`"
end

local function setting_lines()
  return vim
    .iter(config.schema)
    :map(function(setting)
      local kind = table.concat(setting.type, "|")
      if setting.values then
        kind = kind .. ": " .. table.concat(setting.values, ", ")
      end
      local head = tagged(setting.name, "allma-settings-" .. setting.name)
      local facts = wrapped(("(%s, default: %s)"):format(kind, default_of(setting)), 8)
      return head .. "\n" .. facts .. "\n" .. wrapped(setting.description, 8) .. "\n"
    end)
    :join("\n")
end

local parts = {
  commands = command_lines(),
  options = option_lines(),
  keys = key_lines(),
  settings = setting_lines(),
}

local function read(path)
  local file = io.open(path)
  local text = file and file:read("*a") or ""
  if file then
    file:close()
  end
  return text
end

local text = read(here .. "/scripts/help.txt"):gsub("{{(%w+)}}", parts)
local target = here .. "/doc/allma.txt"
if vim.list_contains(_G.arg, "--check") then
  if read(target) ~= text then
    io.stderr:write("doc/allma.txt is not up to date: nvim -l scripts/write_help.lua\n")
    os.exit(1)
  end
else
  local file = assert(io.open(target, "w"))
  file:write(text)
  file:close()
end
