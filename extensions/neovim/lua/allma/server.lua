--- The language server: one process for this Neovim, started when it is first needed.
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
local on_stopped_callbacks = {}
---@type fun(err?: allma.Error, client?: vim.lsp.Client)[]
local connect_callbacks = {}
---@type fun(err: allma.Error)[]
local on_exit_callbacks = {}
---@type table<string, true>
local announced_folders = {}
---@type integer[]
local detached_buffers = {}

--- The running server, or nil.
---@return vim.lsp.Client?
function M.running()
  return current and not stopping and not current:is_stopped() and current or nil
end

---@return boolean
function M.is_starting()
  return starting
end

--- The error to show if the server's program is not executable, else nil.
---@return allma.Error?
function M.missing()
  local program = config.get().cmd[1]
  return vim.fn.executable(program) == 0 and errors.missing(program) or nil
end

--- The project root of a buffer; for a buffer without a file, that of the working directory.
---@param bufnr integer
---@return string?
function M.root(bufnr)
  local source = vim.bo[bufnr].buftype == "" and bufnr or vim.fn.getcwd()
  return vim.fs.root(source, config.get().root_markers)
end

---@param client vim.lsp.Client
local function announce_folders(client)
  local added = vim.tbl_filter(function(folder)
    return not announced_folders[folder.uri]
  end, client.workspace_folders or {})
  if #added == 0 then
    return
  end
  for _, folder in ipairs(added) do
    announced_folders[folder.uri] = true
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
local function handle_exit(code, signal)
  detached_buffers = current and vim.tbl_keys(current.attached_buffers) or {}
  current, starting, stopping, announced_folders = nil, false, false, {}
  local err = errors.exited(code, signal)
  local waiting, stopped = connect_callbacks, on_stopped_callbacks
  connect_callbacks, on_stopped_callbacks = {}, {}
  for _, callback in ipairs(waiting) do
    callback(err)
  end
  for _, callback in ipairs(on_exit_callbacks) do
    callback(err)
  end
  require("allma.statusline").update()
  for _, callback in ipairs(stopped) do
    callback()
  end
end

---@param dispatchers vim.lsp.rpc.Dispatchers
---@return vim.lsp.rpc.PublicClient
local function start_process(dispatchers)
  local settings = config.get()
  local on_exit = dispatchers.on_exit
  dispatchers.on_exit = function(code, signal)
    vim.schedule(function()
      handle_exit(code, signal)
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

--- Settings for the server. Unset ones are sent as null, so that the server's own apply.
---@return table
local function server_settings()
  -- Progress plugins would show chunks of an answer that are sent as `$/progress`.
  local settings = { streamNotification = true }
  for _, setting in ipairs(config.schema) do
    if setting.of_server then
      local key = setting.name:gsub("_(%l)", string.upper)
      local value = config.get()[setting.name]
      settings[key] = value == nil and vim.NIL or value
    end
  end
  return settings
end

--- Stores the settings that answer `workspace/configuration`.
---@param client vim.lsp.Client
local function update_settings(client)
  local overrides = vim.tbl_get(client.config, "settings", "allma") or {}
  client.settings = vim.tbl_extend("force", client.settings, {
    allma = vim.tbl_extend("force", server_settings(), overrides),
  })
end

---@param client vim.lsp.Client
local function on_init(client)
  current, starting = client, false
  update_settings(client)
  announce_folders(client)
  for _, bufnr in ipairs(detached_buffers) do
    if vim.api.nvim_buf_is_loaded(bufnr) then
      vim.lsp.buf_attach_client(bufnr, client.id)
    end
  end
  local callbacks
  detached_buffers, callbacks, connect_callbacks = {}, connect_callbacks, {}
  for _, callback in ipairs(callbacks) do
    callback(nil, client)
  end
  require("allma.statusline").update()
end

--- The configuration for |vim.lsp.config()|. Settings are read when the server starts.
---@return vim.lsp.Config
function M.config()
  local capabilities = vim.lsp.protocol.make_client_capabilities()
  -- The server watches files itself.
  capabilities.workspace.didChangeWatchedFiles = nil
  ---@type vim.lsp.Config
  return {
    cmd = start_process,
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
        vim.tbl_extend("force", server_settings(), params.initializationOptions or {})
      for _, folder in
        ipairs(type(params.workspaceFolders) == "table" and params.workspaceFolders or {})
      do
        announced_folders[folder.uri] = true
      end
    end,
    on_init = on_init,
    handlers = {
      ["allma/chunk"] = function(_, chunk)
        require("allma.client").on_chunk(chunk)
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

--- Calls `callback` with the running server; starts the server if necessary.
---@param callback fun(err?: allma.Error, client?: vim.lsp.Client)
function M.connect(callback)
  local client = M.running()
  if client then
    return callback(nil, client)
  end
  if stopping then
    return table.insert(on_stopped_callbacks, function()
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
  table.insert(connect_callbacks, callback)
end

--- Sends changed settings to a running server.
function M.settings_changed()
  local client = M.running()
  if client then
    update_settings(client)
    client:notify("workspace/didChangeConfiguration", { settings = client.settings })
  end
end

--- Stops the server; `done` is called when it has exited.
---@param done? fun()
function M.stop(done)
  local client = M.running()
  if done and (client or stopping) then
    table.insert(on_stopped_callbacks, done)
  elseif done then
    done()
  end
  if client then
    stopping = true
    client:stop()
  end
end

--- Registers a callback that is called each time the server exits.
---@param callback fun(err: allma.Error)
function M.on_exit(callback)
  table.insert(on_exit_callbacks, callback)
end

return M
