--- Buffers for `allma://` URIs: a chat for a conversation, read-only text for the others.
local client = require("allma.client")
local errors = require("allma.errors")

local M = {}

local SECONDS = 20
local FILETYPES = { ["text/markdown"] = "markdown", ["application/json"] = "json" }

---@param bufnr integer
---@param lines string[]
local function fill(bufnr, lines)
  vim.bo[bufnr].modifiable = true
  vim.api.nvim_buf_set_lines(bufnr, 0, -1, false, lines)
  vim.bo[bufnr].modifiable = false
  vim.bo[bufnr].modified = false
end

--- Loads the content of a URI into a buffer, synchronously: Neovim sets the cursor afterwards.
---@param bufnr integer
---@param uri string
function M.read(bufnr, uri)
  local conversation = uri:match("^allma://conversation/([^/]+)$")
  if conversation or vim.startswith(uri, "allma://chat/") then
    return require("allma.ui.chats").attach(bufnr, conversation)
  end
  vim.bo[bufnr].buftype = "nofile"
  vim.bo[bufnr].swapfile = false
  vim.b[bufnr].allma_text = true
  local err, content = client.request_sync("content", { uri = uri }, SECONDS)
  if err then
    fill(bufnr, { err.message, err.hint })
    return errors.show(err)
  end
  fill(bufnr, vim.split(content.text:gsub("\n$", ""), "\r?\n"))
  vim.bo[bufnr].filetype = FILETYPES[content.mediaType] or "text"
end

return M
