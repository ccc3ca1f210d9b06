--- The language server: one for all of Neovim, started when it is first needed.
local config = require("allma.config")
local errors = require("allma.errors")

local M = {}

---@type vim.lsp.Client?
local current
---@type boolean
local starting = false
---@type boolean
local stopping = false
---@type fun()[]
local after_stop = {}
---@type fun(err?: allma.Error, client?: vim.lsp.Client)[]
local waiting = {}
---@type fun(err: allma.Error)[]
local mourners = {}
---@type table<string, true>
local announced = {}
---@type integer[]
local orphans = {}

--- The server that is running, if one is.
---@return vim.lsp.Client?
function M.running()
  return current and not stopping and not current:is_stopped() and current or nil
end

---@return boolean
function M.is_starting()
  return starting
end

--- The error that says so, when the server's program cannot be run.
---@return allma.Error?
function M.missing()
  local program = config.get().cmd[1]
  return vim.fn.executable(program) == 0 and errors.missing(program) or nil
end

--- The project that a buffer belongs to; the one of the working directory for none.
---@param bufnr integer
---@return string?
function M.root(bufnr)
  local source = vim.bo[bufnr].buftype == "" and bufnr or vim.fn.getcwd()
  return vim.fs.root(source, config.get().root_markers)
end

---@param client vim.lsp.Client
local function announce_folders(client)
  local added = vim.tbl_filter(function(folder)
    return not announced[folder.uri]
  end, client.workspace_folders or {})
  if #added == 0 then
    return
  end
  for _, folder in ipairs(added) do
    announced[folder.uri] = true
  end
  client:notify("workspace/didChangeWorkspaceFolders", { event = { added = added, removed = {} } })
end

---@param client vim.lsp.Client
---@param root? string
local function add_folder(client, root)
  if not root then
    return
  end
  local uri = vim.uri_from_fname(root)
  client.workspace_folders = client.workspace_folders or {}
  for _, folder in ipairs(client.workspace_folders) do
    if folder.uri == uri then
      return
    end
  end
  table.insert(client.workspace_folders, { uri = uri, name = root })
  if client.initialized then
    announce_folders(client)
  end
end

---@param code integer
---@param signal integer
local function ended(code, signal)
  orphans = current and vim.tbl_keys(current.attached_buffers) or {}
  current, starting, stopping, announced = nil, false, false, {}
  local err = errors.ended(code, signal)
  local unmet, continue = waiting, after_stop
  waiting, after_stop = {}, {}
  for _, callback in ipairs(unmet) do
    callback(err)
  end
  for _, mourn in ipairs(mourners) do
    mourn(err)
  end
  require("allma.statusline").changed()
  for _, go_on in ipairs(continue) do
    go_on()
  end
end

---@param dispatchers vim.lsp.rpc.Dispatchers
---@return vim.lsp.rpc.PublicClient
local function spawn(dispatchers)
  local settings = config.get()
  local on_exit = dispatchers.on_exit
  dispatchers.on_exit = function(code, signal)
    vim.schedule(function()
      ended(code, signal)
    end)
    on_exit(code, signal)
  end
  starting = true
  local ok, result = pcall(vim.lsp.rpc.start, settings.cmd, dispatchers, { env = settings.cmd_env })
  if not ok then
    starting = false
    error(result, 0)
  end
  return result
end

--- What the server is told of the settings. Those that are not set, it is told to have so.
---@return table
local function for_server()
  local told = { streamNotification = true } -- Progress displays would show the text of an answer.
  for _, setting in ipairs(config.schema) do
    if setting.of_server then
      local key = setting.name:gsub("_(%l)", string.upper)
      local value = config.get()[setting.name]
      told[key] = value == nil and vim.NIL or value
    end
  end
  return told
end

--- Settings that the server may ask for at any time.
---@param client vim.lsp.Client
local function offer_settings(client)
  local theirs = vim.tbl_get(client.config, "settings", "allma") or {}
  client.settings = vim.tbl_extend("force", client.settings, {
    allma = vim.tbl_extend("force", for_server(), theirs),
  })
end

---@param client vim.lsp.Client
local function ready(client)
  current, starting = client, false
  offer_settings(client)
  announce_folders(client)
  for _, bufnr in ipairs(orphans) do
    if vim.api.nvim_buf_is_loaded(bufnr) then
      vim.lsp.buf_attach_client(bufnr, client.id)
    end
  end
  local callbacks
  orphans, callbacks, waiting = {}, waiting, {}
  for _, callback in ipairs(callbacks) do
    callback(nil, client)
  end
  require("allma.statusline").changed()
end

--- The configuration for |vim.lsp.config()|. It reads the settings when the server starts.
---@return vim.lsp.Config
function M.config()
  local capabilities = vim.lsp.protocol.make_client_capabilities()
  -- The server follows the disk by itself.
  capabilities.workspace.didChangeWatchedFiles = nil
  ---@type vim.lsp.Config
  return {
    cmd = spawn,
    capabilities = capabilities,
    root_dir = function(bufnr, on_dir)
      local root = M.root(bufnr)
      local missing = root and M.missing()
      if missing then
        vim.notify_once(errors.text(missing), vim.log.levels.WARN)
      elseif root then
        on_dir(root)
      end
    end,
    reuse_client = function(client, wanted)
      if client.name ~= wanted.name or client:is_stopped() then
        return false
      end
      add_folder(client, wanted.root_dir --[[@as string?]])
      return true
    end,
    before_init = function(params)
      params.initializationOptions =
        vim.tbl_extend("force", for_server(), params.initializationOptions or {})
      for _, folder in
        ipairs(type(params.workspaceFolders) == "table" and params.workspaceFolders or {})
      do
        announced[folder.uri] = true
      end
    end,
    on_init = ready,
    handlers = {
      ["allma/chunk"] = function(_, chunk)
        require("allma.client").receive(chunk)
      end,
    },
    commands = {
      ["allma.ask"] = function(command)
        require("allma").ask(command.arguments[1].question)
      end,
      ["allma.search"] = function(command)
        require("allma").search(command.arguments[1].query)
      end,
    },
  }
end

--- Has `callback` called with the server, which is started when it is not running.
---@param callback fun(err?: allma.Error, client?: vim.lsp.Client)
function M.connect(callback)
  local client = M.running()
  if client then
    return callback(nil, client)
  end
  if stopping then
    return table.insert(after_stop, function()
      M.connect(callback)
    end)
  end
  if not starting then
    local missing = M.missing()
    if missing then
      return callback(missing)
    end
    local wanted = vim.deepcopy(vim.lsp.config.allma or M.config())
    wanted.name, wanted.root_dir = "allma", M.root(0)
    if not vim.lsp.start(wanted, { attach = false, reuse_client = wanted.reuse_client }) then
      local program = config.get().cmd[1]
      return callback({ code = "server_failed", message = program .. " could not be started." })
    end
  end
  table.insert(waiting, callback)
end

--- Tells a running server of changed settings.
function M.settings_changed()
  local client = M.running()
  if client then
    offer_settings(client)
    client:notify("workspace/didChangeConfiguration", { settings = client.settings })
  end
end

--- Ends the server; `done` is called when it is gone.
---@param done? fun()
function M.stop(done)
  local client = M.running()
  if done and (client or stopping) then
    table.insert(after_stop, done)
  elseif done then
    done()
  end
  if client then
    stopping = true
    client:stop()
  end
end

--- Has `callback` called whenever the server has ended.
---@param callback fun(err: allma.Error)
function M.on_end(callback)
  table.insert(mourners, callback)
end

return M
