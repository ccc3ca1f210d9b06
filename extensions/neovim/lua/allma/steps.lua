--- Next steps: the command that helps with a failure, or with an incomplete search.
local M = {}

local CHECK = ":checkhealth allma shows the cause."
local CHOOSE = ":Allma models selects another model."

--- By error and notice codes of the server.
---@type table<string, string>
local STEPS = {
  indexing = ":Allma status shows the progress.",
  nothing_indexed = ":Allma ingest indexes the project.",
  no_match_for_path = ":Allma documents lists the files.",
  embedder_unavailable = CHECK,
  provider_unreachable = CHECK,
  api_key_refused = CHECK,
  model_not_found = CHOOSE,
  model_unsuitable = CHOOSE,
  input_too_long = CHOOSE,
  empty_answer = CHOOSE,
  document_not_found = ":Allma documents lists the files.",
  storage_error = CHECK,
  data_damaged = CHECK,
  disk_full = CHECK,
  vector_store_down = CHECK,
  full_text_down = CHECK,
}

M.nothing_listed = ":Allma documents lists what is indexed."
--- The step after a search without results.
M.nothing_found = ":Allma explain shows the closest candidates; " .. M.nothing_listed

---@param code? string
---@return string?
function M.for_code(code)
  return code and STEPS[code]
end

--- Appends the next step to a sentence; either may be missing.
---@param text? string
---@param code? string
---@return string
function M.append_to(text, code)
  local parts = {}
  table.insert(parts, text)
  table.insert(parts, M.for_code(code))
  return table.concat(parts, " ")
end

return M
