--- A word on what Allma does, for the status line.
local M = {}

---@type table<string|integer, { title: string, percentage?: integer }>
local bars = {}
local follows = false

local function follow()
  if follows then
    return
  end
  follows = true
  vim.api.nvim_create_autocmd("LspProgress", {
    group = vim.api.nvim_create_augroup("allma.statusline", {}),
    callback = function(event)
      local client = vim.lsp.get_client_by_id(event.data.client_id)
      if not client or client.name ~= "allma" then
        return
      end
      local token, value = event.data.params.token, event.data.params.value
      if value.kind == "end" then
        bars[token] = nil
      else
        local bar = bars[token] or { title = (value.title or "Allma"):gsub("^Allma: ", "") }
        bar.percentage = value.percentage or bar.percentage
        bars[token] = bar
      end
      vim.cmd.redrawstatus()
    end,
  })
end

--- Something that the status line shows may have changed.
function M.changed()
  follow()
  local server = require("allma.server")
  if not server.running() then
    bars = {}
  end
  vim.cmd.redrawstatus()
end

--- Empty while no server runs. Never starts one.
---@return string
function M.text()
  local server = require("allma.server")
  if server.is_starting() then
    return "Allma: starting"
  elseif not server.running() then
    return ""
  end
  local _, bar = next(bars)
  if bar then
    local share = bar.percentage and (" %d%%"):format(bar.percentage) or ""
    return "Allma: " .. bar.title .. share
  end
  local call = require("allma.client").calls()[1]
  return call and "Allma: " .. call.title or "Allma"
end

return M
