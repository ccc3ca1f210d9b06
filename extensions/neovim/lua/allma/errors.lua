--- Errors as they are shown to the user: a sentence, and the next step.
local steps = require("allma.steps")

local M = {}

---@class allma.Error
---@field code string A stable identifier; `cancelled` is never shown.
---@field message string
---@field hint? string

---@type allma.Error
M.cancelled = { code = "cancelled", message = "Stopped." }

--- The server's program was not found.
---@param program string
---@return allma.Error
function M.missing(program)
  return {
    code = "server_missing",
    message = ("Allma's server %q was not found."):format(program),
    hint = "Install it (pip install allma-server), or set `cmd` to its path; see :help allma-install.",
  }
end

--- The server exited before it answered.
---@param code integer
---@param signal integer
---@return allma.Error
function M.exited(code, signal)
  local how = signal ~= 0 and ("signal %d"):format(signal) or ("exit code %d"):format(code)
  return {
    code = "server_ended",
    message = ("Allma's server exited before it answered (%s)."):format(how),
    hint = "The next request restarts it. :Allma log shows the details.",
  }
end

--- The server did not answer in time.
---@param seconds number
---@return allma.Error
function M.timeout(seconds)
  return {
    code = "took_too_long",
    message = ("Allma's server did not answer within %d seconds."):format(seconds),
    hint = ":Allma log shows the details.",
  }
end

--- Converts an error response of the server.
---@param response lsp.ResponseError
---@return allma.Error
function M.from_response(response)
  local data = response.data
  if type(data) == "table" and type(data.message) == "string" then
    return { code = data.code or "error", message = data.message, hint = data.hint }
  end
  return { code = "error", message = response.message or "Allma's server failed." }
end

--- The message, the hint and the command that helps, on one line.
---@param err allma.Error
---@return string
function M.text(err)
  local text = err.hint and (err.message .. " " .. err.hint) or err.message
  return steps.append_to(text, err.code)
end

---@param err allma.Error
function M.show(err)
  if err.code ~= "cancelled" then
    vim.notify(M.text(err), vim.log.levels.ERROR, { title = "Allma" })
  end
end

--- Shows a message to the user.
---@param message string
---@param level? integer
function M.notify(message, level)
  vim.notify(message, level or vim.log.levels.INFO, { title = "Allma" })
end

return M
