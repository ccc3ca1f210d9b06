--- Shows found passages as configured by the setting `results`.
local config = require("allma.config")
local location = require("allma.ui.location")

local M = {}

---@param text string
---@return string
local function summary(text)
  return (vim.trim(text):gsub("%s+", " "):sub(1, 120))
end

--- The line of a passage that has most of the words; else the first one with a letter or digit.
---@param passage allma.Passage
---@param words string[]
---@return string text
---@return integer number Of the line in the file.
local function best_line(passage, words)
  local lines = vim.split(passage.text, "\r?\n")
  -- The lines of a part of a table or of a PDF are not those of the file.
  local is_exact = #lines == passage.endLine - passage.startLine + 1
  local best, found, most = nil, nil, -1
  for number, line in ipairs(lines) do
    local lower, count = vim.fn.tolower(line), 0
    for _, word in ipairs(words) do
      count = count + (lower:find(word, 1, true) and 1 or 0)
    end
    if line:find("%w") and count > most then
      best, found, most = line, number, count
    end
  end
  return best or passage.text, passage.startLine + (is_exact and found and found - 1 or 0)
end

---@param passage allma.Passage
---@param words string[]
---@return table
local function entry(passage, words)
  local heading = location.heading(passage)
  local line, number = best_line(passage, words)
  return {
    filename = location.target(passage),
    module = vim.fn.fnamemodify(passage.path, ":~:."),
    lnum = number,
    end_lnum = passage.endLine,
    text = (passage.page and ("page %d: "):format(passage.page) or "")
      .. (heading ~= "" and heading .. ": " or "")
      .. summary(line)
      .. (passage.stale and " (changed since it was indexed)" or "")
      .. (passage.unsaved and " (unsaved)" or ""),
    user_data = passage,
  }
end

---@param passages allma.Passage[]
---@param title string
---@param words string[]
---@param picker? { show: fun(title: string) }
local function in_quickfix(passages, title, words, picker)
  local items = vim.tbl_map(function(passage)
    return entry(passage, words)
  end, passages)
  vim.fn.setqflist({}, " ", { title = title, items = items })
  if picker then
    picker.show(title)
  else
    vim.cmd("botright copen")
  end
end

--- Pickers that show the quickfix list, with a preview, if they are installed.
---@class allma.Picker
---@field name string
---@field module string
---@field is_used? fun(picker: any): boolean?
---@field show fun(picker: any, title: string)

---@type allma.Picker[]
M.PICKERS = {
  {
    name = "Telescope",
    module = "telescope.builtin",
    show = function(picker, title)
      picker.quickfix({ prompt_title = title })
    end,
  },
  {
    name = "fzf-lua",
    module = "fzf-lua",
    show = function(picker, title)
      picker.quickfix({ prompt = title .. "> " })
    end,
  },
  {
    name = "snacks",
    module = "snacks",
    -- Many have snacks without using its picker.
    is_used = function(snacks)
      return snacks.config.picker.enabled
    end,
    show = function(snacks, title)
      snacks.picker.qflist({ title = title })
    end,
  },
}

--- The first of the pickers that is installed.
---@return { name: string, show: fun(title: string) }?
function M.picker()
  for _, known in ipairs(M.PICKERS) do
    local is_installed, picker = pcall(require, known.module)
    if is_installed and (not known.is_used or known.is_used(picker)) then
      return {
        name = known.name,
        show = function(title)
          known.show(picker, title)
        end,
      }
    end
  end
end

---@param passages allma.Passage[]
---@param title string
---@param words string[]
local function in_select(passages, title, words)
  vim.ui.select(passages, {
    prompt = title,
    kind = "allma.passage",
    format_item = function(passage)
      return location.label(passage) .. "  " .. summary((best_line(passage, words)))
    end,
  }, function(chosen)
    if chosen then
      location.open(chosen)
    end
  end)
end

---@param passages allma.Passage[]
---@param query string
function M.show(passages, query)
  local wanted, title = config.get().results, "Allma: " .. query
  local words = vim.fn.split(vim.fn.tolower(query), [[\W\+]])
  if type(wanted) == "function" then
    wanted(passages, title)
  elseif wanted == "select" then
    in_select(passages, title, words)
  else
    in_quickfix(passages, title, words, wanted == "auto" and M.picker() or nil)
  end
end

return M
