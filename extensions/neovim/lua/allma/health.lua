--- `:checkhealth allma`
local client = require("allma.client")
local server = require("allma.server")
local config = require("allma.config")

local M = {}

local SECONDS = 30
local REPORT = { ok = vim.health.ok, warning = vim.health.warn, failed = vim.health.error }

local function check_neovim()
  vim.health.start("Neovim")
  if vim.fn.has("nvim-0.11") == 1 then
    vim.health.ok("Neovim " .. tostring(vim.version()))
  else
    vim.health.error("Allma needs Neovim 0.11 or newer.")
  end
  if #vim.api.nvim_get_runtime_file("parser/markdown.*", false) == 0 then
    vim.health.warn("No Tree-sitter parser for Markdown: chats have basic highlighting only.")
  end
  local picker = require("allma.ui.results").picker()
  vim.health.ok("Results open in " .. (picker and picker.name or "the quickfix list"))
end

---@return boolean
local function check_program()
  vim.health.start("Server")
  local missing = server.missing()
  if missing then
    vim.health.error(missing.message, missing.hint)
    return false
  end
  local command = config.get().cmd
  vim.health.ok(("%s (%s)"):format(table.concat(command, " "), vim.fn.exepath(command[1])))
  return true
end

local function check_engine()
  local err, diagnosis = client.request_sync("doctor", {}, SECONDS)
  if err then
    vim.health.error(err.message, err.hint)
    return
  end
  for _, check in ipairs(diagnosis.checks) do
    local text = check.name .. ": " .. check.detail
    REPORT[check.state](text, check.state ~= "ok" and check.nextStep or nil)
  end
end

function M.check()
  check_neovim()
  if check_program() then
    check_engine()
  end
end

return M
