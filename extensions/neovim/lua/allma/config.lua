--- The settings: one table, from which values are checked and the help is written.
local M = {}

---@class allma.Setting
---@field name string
---@field type string[] Lua types it may have.
---@field default any
---@field values? string[] The only strings it may be.
---@field check? fun(value: any): string? What is wrong with a value of the right type.
---@field description string Paragraphs are parted by an empty line.

---@class allma.Config
---@field cmd string[]
---@field cmd_env table<string, string>
---@field attach boolean
---@field root_markers string[]
---@field index_workspace_folders boolean
---@field workspace? string
---@field model string
---@field top_k? integer
---@field results "auto"|"quickfix"|"select"|fun(passages: allma.Passage[], title: string)
---@field chat_window "right"|"left"|"above"|"below"|"float"|"tab"|"current"
---@field chat_size number
---@field keys table<string, string|false>

---@param value any
local function strings(value)
  for key, item in pairs(value) do
    if type(key) ~= "number" or type(item) ~= "string" then
      return "is a list of strings"
    end
  end
end

local KEYS = {
  send = "<CR>",
  send_insert = "<C-s>",
  open = "gf",
  preview = "K",
  stop = "<C-c>",
  regenerate = "gR",
  new = "gN",
  next = "]]",
  previous = "[[",
  help = "g?",
}

---@type allma.Setting[]
M.schema = {
  {
    name = "cmd",
    type = { "table" },
    default = { "allma-server", "lsp" },
    check = function(value)
      return strings(value) or (not value[1] and "names a program" or nil)
    end,
    description = [[
The program that is started, with its arguments. Name it with its full path when it is not on
the `PATH` of Neovim. With `--solo` as a further argument the engine runs in a process of its
own instead of being shared with your other editors and shells.]],
  },
  {
    name = "cmd_env",
    type = { "table" },
    default = {},
    description = "Environment variables for that program, such as `ALLMA_DATA_DIR`.",
  },
  {
    name = "attach",
    type = { "boolean" },
    default = true,
    description = [[
Enable the language server for files inside a project, which starts it when the first one is
opened. When false, it starts with the first command that needs it; |vim.lsp.enable()| can
still be called by hand.]],
  },
  {
    name = "root_markers",
    type = { "table" },
    default = { ".allmaignore", ".git", ".hg", ".jj" },
    check = strings,
    description = "What a project's folder has in it. Files outside of any project are left alone.",
  },
  {
    name = "index_workspace_folders",
    type = { "boolean" },
    default = true,
    description = [[
Index the projects that you open and follow their changes. When false, only what you name with
`:Allma ingest` is indexed.]],
  },
  {
    name = "workspace",
    type = { "string", "nil" },
    default = nil,
    description = [[
Where questions and searches look: a folder, or `"all"` for everything that is indexed. Without
it they look in the projects that are open, or everywhere when none is.]],
  },
  {
    name = "model",
    type = { "string" },
    default = "auto",
    description = [[
The model that answers, such as `"llama3.2:3b"`. With `"auto"` it is the one that was chosen
last (`:Allma models`), else the first that can chat.]],
  },
  {
    name = "top_k",
    type = { "number", "nil" },
    default = nil,
    check = function(value)
      if value % 1 ~= 0 or value < 1 or value > 50 then
        return "is a whole number from 1 to 50"
      end
    end,
    description = "How many passages are found and handed to the model; 5 unless the server says else.",
  },
  {
    name = "results",
    type = { "string", "function" },
    default = "auto",
    values = { "auto", "quickfix", "select" },
    description = [[
Where found passages are shown: in the `"quickfix"` list or in |vim.ui.select()| (`"select"`).
With `"auto"` it is the quickfix list, in Telescope's view when Telescope is installed. A
function gets the passages and a title instead.]],
  },
  {
    name = "chat_window",
    type = { "string" },
    default = "right",
    values = { "right", "left", "above", "below", "float", "tab", "current" },
    description = "Where a chat opens.",
  },
  {
    name = "chat_size",
    type = { "number" },
    default = 0.4,
    check = function(value)
      if value <= 0 or value > 1 then
        return "is a share of the screen, above 0 and at most 1"
      end
    end,
    description = "The share of the screen that a chat's window takes.",
  },
  {
    name = "keys",
    type = { "table" },
    default = KEYS,
    check = function(value)
      for name, key in pairs(value) do
        if KEYS[name] == nil then
          return ("has no key named %q; there are: %s"):format(
            tostring(name),
            table.concat(vim.fn.sort(vim.tbl_keys(KEYS)), ", ")
          )
        elseif key ~= false and type(key) ~= "string" then
          return ("has a string or false for %q"):format(name)
        end
      end
    end,
    description = [[
Keys of a chat's buffer, see |allma-chat|. Those that you do not name keep their default; false
takes one away.]],
  },
}

--- What each key of a chat does.
M.key_meanings = {
  send = "send; on a source, open it",
  send_insert = "send, while inserting",
  open = "open the source under the cursor",
  preview = "show the source's text",
  stop = "stop the answer",
  regenerate = "ask the last question again",
  new = "open a new chat",
  next = "next heading",
  previous = "previous heading",
  help = "show these keys",
}

---@param setting allma.Setting
---@param value any
---@return string? complaint
local function complaint(setting, value)
  if not vim.list_contains(setting.type, type(value)) then
    local wanted = vim.tbl_filter(function(name)
      return name ~= "nil"
    end, setting.type)
    return ("is a %s, not a %s"):format(table.concat(wanted, " or a "), type(value))
  end
  if
    setting.values
    and type(value) == "string"
    and not vim.list_contains(setting.values, value)
  then
    return "is one of: " .. table.concat(setting.values, ", ")
  end
  if setting.check and value ~= nil then
    return setting.check(value)
  end
end

---@return string
local function unknown(name)
  local names = vim.tbl_map(function(setting)
    return setting.name
  end, M.schema)
  local near = vim.fn.matchfuzzy(names, tostring(name))[1]
  local hint = near and ("Did you mean %q?"):format(near)
    or ("There are: %s."):format(table.concat(names, ", "))
  return ("Allma has no setting named %q. %s"):format(tostring(name), hint)
end

--- The defaults, changed by what is given. What is wrong keeps its default.
---@param given? table<string, any>
---@return allma.Config config
---@return string[] complaints Sentences, for the user to read.
function M.resolve(given)
  given = given or {}
  local config, complaints, known = {}, {}, {}
  for _, setting in ipairs(M.schema) do
    known[setting.name] = true
    local value = given[setting.name]
    local wrong = value ~= nil and complaint(setting, value) or nil
    if wrong then
      table.insert(complaints, ("The setting %q of Allma %s."):format(setting.name, wrong))
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
      table.insert(complaints, unknown(name))
    end
  end
  return config, complaints
end

---@type allma.Config?
local current

--- The settings in force.
---@return allma.Config
function M.get()
  if not current then
    current = M.resolve()
  end
  return current
end

--- Puts settings in force.
---@param given? table<string, any>
---@return string[] complaints
function M.set(given)
  local complaints
  current, complaints = M.resolve(given)
  return complaints
end

return M
