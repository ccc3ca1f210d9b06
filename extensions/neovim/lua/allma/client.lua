--- Requests to the language server. The first request starts it.
local errors = require("allma.errors")
local server = require("allma.server")

local M = {}

---@class allma.Call
---@field title string Shown in the status line while the call runs; empty to hide it.
---@field cancel fun()

---@type table<allma.Call, fun(err: allma.Error)>
local open_calls = {}
---@type table<string, fun(chunk: table)>
local streams = {}
---@type table<string, allma.Call> The latest call of each slot.
local latest = {}
local last_token = 0

-- Neovim drops the callbacks of pending requests when the server exits.
server.on_exit(function(err)
  for _, fail in ipairs(vim.tbl_values(open_calls)) do
    fail(err)
  end
end)

--- Passes a chunk of an answer to the call that requested it.
---@param chunk { token: string, kind: string }
function M.on_chunk(chunk)
  local listener = streams[chunk.token]
  if listener then
    listener(chunk)
  end
end

---@class allma.RequestOptions
---@field slot? string Where the result is shown; a later call with the same slot cancels this one.
---@field title? string Shown in the status line; without it the call is not shown.
---@field on_chunk? fun(chunk: { kind: "chunk"|"sources", text?: string, citations?: allma.Citation[] })

--- Runs an operation. `on_done` is called exactly once, also on cancellation or if the server exits.
---@param name string Such as `search` or `conversations.list`.
---@param params table
---@param on_done fun(err?: allma.Error, result?: any)
---@param opts? allma.RequestOptions
---@return allma.Call
function M.request(name, params, on_done, opts)
  opts = opts or {}
  ---@type allma.Call
  local call = { title = opts.title or "" }
  local client, id, token ---@type vim.lsp.Client?, integer?, string?

  ---@param err? allma.Error
  ---@param result? any
  local function finish(err, result)
    if not open_calls[call] then
      return
    end
    open_calls[call] = nil
    if opts.slot and latest[opts.slot] == call then
      latest[opts.slot] = nil
    end
    if token then
      streams[token] = nil
    end
    require("allma.statusline").update()
    on_done(err, result)
  end

  function call.cancel()
    if open_calls[call] and client and id then
      client:cancel_request(id)
    end
    finish(errors.cancelled)
  end

  if opts.slot then
    local earlier = latest[opts.slot]
    latest[opts.slot] = call
    if earlier then
      earlier.cancel()
    end
  end
  open_calls[call] = finish
  require("allma.statusline").update()
  server.connect(function(err, connected)
    if not open_calls[call] then
      return
    elseif err or not connected then
      return finish(err or errors.cancelled)
    end
    client = connected
    params = next(params) and vim.deepcopy(params) or vim.empty_dict()
    if opts.on_chunk then
      last_token = last_token + 1
      token = "allma-neovim-" .. last_token
      streams[token] = opts.on_chunk
      params.partialResultToken = token
    end
    local sent
    sent, id = client:request("allma/" .. name, params, function(failure, result)
      finish(failure and errors.from_response(failure) or nil, result)
    end)
    if not sent then
      finish(errors.exited(0, 0))
    end
  end)
  return call
end

--- Runs an operation and waits for its result, for example for completion.
---@param name string
---@param params table
---@param seconds number
---@return allma.Error? err
---@return any result
function M.request_sync(name, params, seconds)
  local done, err, result = false, nil, nil
  local call = M.request(name, params, function(failure, value)
    done, err, result = true, failure, value
  end)
  vim.wait(seconds * 1000, function()
    return done
  end, 5)
  if not done then
    call.cancel()
    return errors.timeout(seconds), nil
  end
  return err, result
end

--- The running calls that have a title.
---@return allma.Call[]
function M.calls()
  return vim.tbl_filter(function(call)
    return call.title ~= ""
  end, vim.tbl_keys(open_calls))
end

return M
