--- Allma's state in one word or two, for the status line.
local M = {}

---@type table<string|integer, { title: string, percentage?: integer }>
local progress = {}
local is_tracking = false

local function track_progress()
  if is_tracking then
    return
  end
  is_tracking = true
  vim.api.nvim_create_autocmd("LspProgress", {
    group = vim.api.nvim_create_augroup("allma.statusline", {}),
    callback = function(event)
      local client = vim.lsp.get_client_by_id(event.data.client_id)
      if not client or client.name ~= "allma" then
        return
      end
      local token, value = event.data.params.token, event.data.params.value
      if value.kind == "end" then
        progress[token] = nil
      else
        local item = progress[token] or { title = (value.title or "Allma"):gsub("^Allma: ", "") }
        item.percentage = value.percentage or item.percentage
        progress[token] = item
      end
      vim.cmd.redrawstatus()
    end,
  })
end

--- Redraws the status line after a change of state.
function M.update()
  track_progress()
  local server = require("allma.server")
  if not server.running() then
    progress = {}
  end
  vim.cmd.redrawstatus()
end

--- The text; empty while the server does not run. Never starts the server.
---@return string
function M.text()
  local server = require("allma.server")
  if server.is_starting() then
    return "Allma: starting"
  elseif not server.running() then
    return ""
  end
  local _, item = next(progress)
  if item then
    local share = item.percentage and (" %d%%"):format(item.percentage) or ""
    return "Allma: " .. item.title .. share
  end
  local call = require("allma.client").calls()[1]
  return call and "Allma: " .. call.title or "Allma"
end

return M
