--- Shows found passages as configured by the setting `results`.
local config = require("allma.config")
local location = require("allma.ui.location")

local M = {}

--- The first line of a passage that has a letter or digit.
---@param text string
---@return string
local function summary_line(text)
  local line = text:match("[^\r\n]*%w[^\r\n]*") or text
  return (vim.trim(line):gsub("%s+", " "):sub(1, 120))
end

---@param passage allma.Passage
---@return table
local function entry(passage)
  local heading = location.heading(passage)
  return {
    filename = location.target(passage),
    module = vim.fn.fnamemodify(passage.path, ":~:."),
    lnum = passage.startLine,
    end_lnum = passage.endLine,
    text = (passage.page and ("page %d: "):format(passage.page) or "")
      .. (heading ~= "" and heading .. ": " or "")
      .. summary_line(passage.text)
      .. (passage.stale and " (changed since it was indexed)" or "")
      .. (passage.unsaved and " (unsaved)" or ""),
    user_data = passage,
  }
end

---@param passages allma.Passage[]
---@param title string
---@param picker? { show: fun(title: string) }
local function in_quickfix(passages, title, picker)
  vim.fn.setqflist({}, " ", { title = title, items = vim.tbl_map(entry, passages) })
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
local function in_select(passages, title)
  vim.ui.select(passages, {
    prompt = title,
    kind = "allma.passage",
    format_item = function(passage)
      return location.label(passage) .. "  " .. summary_line(passage.text)
    end,
  }, function(chosen)
    if chosen then
      location.open(chosen)
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
  else
    in_quickfix(passages, title, wanted == "auto" and M.picker() or nil)
  end
end

return M
