--- Requests to the language server, which is started by the first one.
local errors = require("allma.errors")
local server = require("allma.server")

local M = {}

---@class allma.Call
---@field title string What is being done, for people.
---@field cancel fun()

---@type table<allma.Call, fun(err: allma.Error)>
local open_calls = {}
---@type table<string, fun(chunk: table)>
local streams = {}
---@type table<string, allma.Call> The call whose result a place is to show.
local latest = {}
local last_token = 0

-- Neovim forgets the callbacks of a server that is gone.
server.on_end(function(err)
  for _, fail in ipairs(vim.tbl_values(open_calls)) do
    fail(err)
  end
end)

--- Hands a piece of an answer on to whoever asked for it.
---@param chunk { token: string, kind: string }
function M.receive(chunk)
  local listener = streams[chunk.token]
  if listener then
    listener(chunk)
  end
end

---@class allma.RequestOptions
---@field place? string What the result changes; a later request for the same place cancels this one.
---@field title? string What is being done; without it the call counts as not worth showing.
---@field on_chunk? fun(chunk: { kind: "chunk"|"sources", text?: string, citations?: allma.Citation[] })

--- Does an operation. `on_done` is called once, also when the call is cancelled or the server dies.
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
    if opts.place and latest[opts.place] == call then
      latest[opts.place] = nil
    end
    if token then
      streams[token] = nil
    end
    require("allma.statusline").changed()
    on_done(err, result)
  end

  function call.cancel()
    if open_calls[call] and client and id then
      client:cancel_request(id)
    end
    finish(errors.cancelled)
  end

  if opts.place then
    local earlier = latest[opts.place]
    latest[opts.place] = call
    if earlier then
      earlier.cancel()
    end
  end
  open_calls[call] = finish
  require("allma.statusline").changed()
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
      finish(failure and errors.of(failure) or nil, result)
    end)
    if not sent then
      finish(errors.ended(0, 0))
    end
  end)
  return call
end

--- Waits for an operation's result; for what Neovim wants at once, such as a completion.
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
    return errors.late(seconds), nil
  end
  return err, result
end

--- What is being done, without what only looks something up.
---@return allma.Call[]
function M.calls()
  return vim.tbl_filter(function(call)
    return call.title ~= ""
  end, vim.tbl_keys(open_calls))
end

return M
