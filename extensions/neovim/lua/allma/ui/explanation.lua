--- The explanation of a search, in a read-only buffer from which passages can be opened.
local location = require("allma.ui.location")
local steps = require("allma.steps")

local M = {}

local LISTS = { "dense", "lexical", "fused", "rescored", "reranked" }
-- Outcomes whose name alone is not clear.
local OUTCOMES = {
  joined = "joined to an adjacent passage",
  below_threshold = "below the score threshold",
  repeats = "duplicate of a passage above",
  overlaps = "overlaps a passage above",
  same_document = "enough passages of the same document",
  over_limit = "beyond the limit of passages",
}

---@param share number
---@return string
local function percent(share)
  return ("%d%%"):format(math.floor(share * 100 + 0.5))
end

---@param explanation allma.Explanation
---@return string[]
local function head(explanation)
  local words = vim.list_extend(vim.deepcopy(explanation.terms), explanation.phrases)
  for _, prefix in ipairs(explanation.prefixes) do
    table.insert(words, prefix .. "*")
  end
  local lines = { "# Search explained: " .. explanation.query:gsub("%s+", " "), "" }
  table.insert(lines, "Semantic search, and keyword search for: " .. table.concat(words, ", "))
  if #explanation.stopWords > 0 then
    table.insert(lines, "Ignored as too common: " .. table.concat(explanation.stopWords, ", "))
  end
  if #explanation.similar > 0 then
    local similar = table.concat(explanation.similar, ", ")
    table.insert(lines, "In no document, so similar words count: " .. similar)
  end
  if explanation.knowledge < 1 then
    local known = "The embedder does not know the language of this query well: its scores count "
    table.insert(lines, known .. percent(explanation.knowledge))
  end
  if explanation.code > 0 then
    local code = percent(explanation.code)
    table.insert(lines, code .. " of the rescored passages are code: meaning counts more")
  end
  table.insert(lines, explanation.reranker and "Reranked by " .. explanation.reranker or nil)
  local notice = steps.append_to(explanation.notice, explanation.noticeCode)
  if notice ~= "" then
    table.insert(lines, (notice:gsub("%s+", " ")))
  elseif #explanation.candidates == 0 then
    table.insert(lines, "No passage matches. " .. steps.nothing_listed)
  end
  return vim.list_extend(
    lines,
    { "", "Rank after each stage, with the score; <CR> opens a passage." }
  )
end

--- Returns the outcome of a candidate, and what else raised or lowered its score.
---@param candidate allma.Candidate
---@return string
local function outcome_of(candidate)
  local text = OUTCOMES[candidate.outcome] or (candidate.outcome:gsub("_", " "))
  if candidate.raised ~= "" then
    text = ("%s (raised: %s)"):format(text, candidate.raised)
  end
  return candidate.inherits and text .. " (only headings have the words)" or text
end

---@param candidate allma.Candidate
---@return string
local function ranks(candidate)
  local parts = {}
  for _, list in ipairs(LISTS) do
    local rank = candidate[list] ---@type allma.RankedScore?
    if rank then
      table.insert(parts, ("%s %d (%.2f)"):format(list, rank.rank, rank.score))
    end
  end
  return table.concat(parts, ", ")
end

--- Returns the lines of the buffer, and the passage of each line.
---@param explanation allma.Explanation
---@return string[] lines
---@return table<integer, allma.Passage> passages By line, from 1.
function M.lines(explanation)
  local lines, passages, unread = head(explanation), {}, 0
  for number, candidate in ipairs(explanation.candidates) do
    if candidate.outcome == "not_rescored" then
      unread = unread + 1
    else
      local heading = location.heading(candidate.passage)
      vim.list_extend(lines, {
        "",
        ("%d. %s"):format(number, location.label(candidate.passage))
          .. (heading ~= "" and " · " .. heading or ""),
        ("   %s: %s"):format(outcome_of(candidate), ranks(candidate)),
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
  require("allma.ui.window").set_options()
  for key, act in pairs({ ["<CR>"] = location.open, gf = location.open, K = location.preview }) do
    vim.keymap.set("n", key, function()
      local passage = passages[vim.api.nvim_win_get_cursor(0)[1]]
      if passage then
        act(passage)
      end
    end, { buffer = buf, desc = "Allma: the passage under the cursor" })
  end
end

return M
