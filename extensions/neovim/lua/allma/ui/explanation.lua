--- Why a search finds what it finds: a buffer to read, whose passages can be opened.
local places = require("allma.ui.places")
local steps = require("allma.steps")

local M = {}

local LISTS = { "dense", "lexical", "fused", "rescored", "reranked" }
local TITLES = {
  dense = "meaning",
  lexical = "words",
  fused = "both",
  rescored = "rescored",
  reranked = "reranked",
}
-- What needs more words than its name.
local OUTCOMES = {
  joined = "joined to its neighbour",
  below_threshold = "below the score threshold",
  repeats = "repeats one above",
  overlaps = "overlaps one above",
  over_limit = "enough were above it",
}

---@param explanation allma.Explanation
---@return string[]
local function head(explanation)
  local words = vim.list_extend(vim.deepcopy(explanation.terms), explanation.phrases)
  local lines = { "# Why these passages: " .. explanation.query:gsub("%s+", " "), "" }
  table.insert(lines, "Searched by meaning, and for the stems: " .. table.concat(words, ", "))
  if #explanation.stopWords > 0 then
    table.insert(lines, "Too common to search for: " .. table.concat(explanation.stopWords, ", "))
  end
  table.insert(lines, explanation.reranker and "Reranked by " .. explanation.reranker or nil)
  local limits = steps.told(explanation.notice, explanation.noticeCode)
  if limits ~= "" then
    table.insert(lines, (limits:gsub("%s+", " ")))
  elseif #explanation.candidates == 0 then
    table.insert(lines, "No passage matches. " .. steps.nothing_listed)
  end
  return vim.list_extend(lines, { "", "Rank in each list, with the score; <CR> opens a passage." })
end

---@param candidate allma.Candidate
---@return string
local function outcome_of(candidate)
  return OUTCOMES[candidate.outcome] or (candidate.outcome:gsub("_", " "))
end

---@param candidate allma.Candidate
---@return string
local function standings(candidate)
  local parts = {}
  for _, list in ipairs(LISTS) do
    local standing = candidate[list] ---@type allma.RankedScore?
    if standing then
      table.insert(parts, ("%s %d (%.2f)"):format(TITLES[list], standing.rank, standing.score))
    end
  end
  return table.concat(parts, ", ")
end

--- The lines to show, and the passage that stands in a line.
---@param explanation allma.Explanation
---@return string[] lines
---@return table<integer, allma.Passage> passages By line, from 1.
function M.lines(explanation)
  local lines, passages, unread = head(explanation), {}, 0
  for number, candidate in ipairs(explanation.candidates) do
    if candidate.outcome == "not_rescored" then
      unread = unread + 1
    else
      local heading = places.heading(candidate.passage)
      vim.list_extend(lines, {
        "",
        ("%d. %s"):format(number, places.name(candidate.passage))
          .. (heading ~= "" and " · " .. heading or ""),
        ("   %s: %s"):format(outcome_of(candidate), standings(candidate)),
      })
      passages[#lines - 1], passages[#lines] = candidate.passage, candidate.passage
    end
  end
  if unread > 0 then
    vim.list_extend(lines, { "", unread .. " more candidates were ranked too low to be rescored." })
  end
  return lines, passages
end

---@param explanation allma.Explanation
function M.show(explanation)
  local lines, passages = M.lines(explanation)
  vim.cmd("botright new")
  local buf = vim.api.nvim_get_current_buf()
  vim.api.nvim_buf_set_lines(buf, 0, -1, false, lines)
  local options = vim.bo[buf]
  options.buftype, options.bufhidden, options.swapfile = "nofile", "wipe", false
  options.filetype, options.modifiable = "markdown", false
  require("allma.ui.window").dress()
  for key, act in pairs({ ["<CR>"] = places.open, gf = places.open, K = places.preview }) do
    vim.keymap.set("n", key, function()
      local passage = passages[vim.api.nvim_win_get_cursor(0)[1]]
      if passage then
        act(passage)
      end
    end, { buffer = buf, desc = "Allma: the passage under the cursor" })
  end
end

return M
