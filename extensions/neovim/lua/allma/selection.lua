--- Describes selected text, as part of a question.
local M = {}

local MAX_CHARACTERS = 8000

---@param line1 integer
---@param line2 integer
---@return string[]
local function lines_of(line1, line2)
  local from, to = vim.fn.getpos("'<"), vim.fn.getpos("'>")
  local mode = vim.fn.visualmode()
  if from[2] == line1 and to[2] == line2 and mode ~= "V" and mode ~= "" then
    return vim.fn.getregion(from, to, { type = mode })
  end
  return vim.api.nvim_buf_get_lines(0, line1 - 1, line2, false)
end

--- Returns lines of the current buffer as a fenced block, after a line with their location.
---@param line1 integer
---@param line2 integer
---@return string
function M.describe(line1, line2)
  local text = table.concat(lines_of(line1, line2), "\n")
  if #text > MAX_CHARACTERS then
    text = vim.fn.strcharpart(text, 0, MAX_CHARACTERS) .. "\n…"
  end
  local name = vim.fn.expand("%:~:.")
  local location = ("%s:%d-%d"):format(name ~= "" and name or "this text", line1, line2)
  local fence = "```"
  while text:find(fence, 1, true) do
    fence = fence .. "`"
  end
  return ("From %s:\n\n%s%s\n%s\n%s"):format(location, fence, vim.bo.filetype, text, fence)
end

return M
