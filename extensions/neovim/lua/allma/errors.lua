--- What goes wrong, as the user reads it: a sentence, and the next step.
local steps = require("allma.steps")

local M = {}

---@class allma.Error
---@field code string A stable word; `cancelled` is never shown.
---@field message string
---@field hint? string

---@type allma.Error
M.cancelled = { code = "cancelled", message = "Stopped." }

--- The server's program cannot be run.
---@param program string
---@return allma.Error
function M.missing(program)
  return {
    code = "server_missing",
    message = ("Allma's server %q was not found."):format(program),
    hint = "Install it (pip install allma-server), or name it in the setting `cmd`; see :help allma-install.",
  }
end

--- The server ended before it answered.
---@param code integer
---@param signal integer
---@return allma.Error
function M.ended(code, signal)
  local how = signal ~= 0 and ("signal %d"):format(signal) or ("exit code %d"):format(code)
  return {
    code = "server_ended",
    message = ("Allma's server ended before it answered (%s)."):format(how),
    hint = "The next request starts it again; :Allma log tells more.",
  }
end

--- The server did not answer in time.
---@param seconds number
---@return allma.Error
function M.late(seconds)
  return {
    code = "took_too_long",
    message = ("Allma's server did not answer within %d seconds."):format(seconds),
    hint = ":Allma log tells more.",
  }
end

--- An error response as Allma's error.
---@param response lsp.ResponseError
---@return allma.Error
function M.of(response)
  local data = response.data
  if type(data) == "table" and type(data.message) == "string" then
    return { code = data.code or "error", message = data.message, hint = data.hint }
  end
  return { code = "error", message = response.message or "Allma's server failed." }
end

--- What it is and what can be done, on one line.
---@param err allma.Error
---@return string
function M.text(err)
  local said = err.hint and (err.message .. " " .. err.hint) or err.message
  return steps.told(said, err.code)
end

---@param err allma.Error
function M.show(err)
  if err.code ~= "cancelled" then
    vim.notify(M.text(err), vim.log.levels.ERROR, { title = "Allma" })
  end
end

--- Tells something that is no failure.
---@param message string
---@param level? integer
function M.tell(message, level)
  vim.notify(message, level or vim.log.levels.INFO, { title = "Allma" })
end

return M
