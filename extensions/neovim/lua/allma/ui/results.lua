--- Found passages, where the user wants to have them.
local config = require("allma.config")
local places = require("allma.ui.places")

local M = {}

--- A passage's first line that says something.
---@param text string
---@return string
local function gist(text)
  local line = text:match("[^\r\n]*%w[^\r\n]*") or text
  return (vim.trim(line):gsub("%s+", " "):sub(1, 120))
end

---@param passage allma.Passage
---@return table
local function entry(passage)
  local heading = places.heading(passage)
  return {
    filename = places.target(passage),
    module = vim.fn.fnamemodify(passage.path, ":~:."),
    lnum = passage.startLine,
    end_lnum = passage.endLine,
    text = (passage.page and ("page %d: "):format(passage.page) or "")
      .. (heading ~= "" and heading .. ": " or "")
      .. gist(passage.text)
      .. (passage.stale and " (changed since it was indexed)" or ""),
    user_data = passage,
  }
end

---@param passages allma.Passage[]
---@param title string
local function in_quickfix(passages, title)
  vim.fn.setqflist({}, " ", { title = title, items = vim.tbl_map(entry, passages) })
  vim.cmd("botright copen")
end

---@param passages allma.Passage[]
---@param title string
local function in_telescope(passages, title)
  vim.fn.setqflist({}, " ", { title = title, items = vim.tbl_map(entry, passages) })
  require("telescope.builtin").quickfix({ prompt_title = title })
end

---@param passages allma.Passage[]
---@param title string
local function in_select(passages, title)
  vim.ui.select(passages, {
    prompt = title,
    kind = "allma.passage",
    format_item = function(passage)
      return places.name(passage) .. "  " .. gist(passage.text)
    end,
  }, function(chosen)
    if chosen then
      places.open(chosen)
    end
  end)
end

---@param passages allma.Passage[]
---@param title string
function M.show(passages, title)
  local wanted = config.get().results
  if type(wanted) == "function" then
    wanted(passages, title)
  elseif wanted == "select" then
    in_select(passages, title)
  elseif wanted == "auto" and pcall(require, "telescope.builtin") then
    in_telescope(passages, title)
  else
    in_quickfix(passages, title)
  end
end

return M
