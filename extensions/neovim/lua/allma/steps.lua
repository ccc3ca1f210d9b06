--- The command that helps with a failure, or with a search that found less than there is.
local M = {}

local CHECK = ":checkhealth allma tells what is wrong."
local CHOOSE = ":Allma models chooses another model."

--- By the codes of the server.
---@type table<string, string>
local STEPS = {
  indexing = ":Allma status tells how far it is.",
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
}

M.nothing_listed = ":Allma documents lists what is indexed."
--- For whoever searched documents in which nothing fits.
M.nothing_found = ":Allma explain shows what came near; " .. M.nothing_listed

---@param code? string
---@return string?
function M.after(code)
  return code and STEPS[code]
end

--- A sentence with the step behind it; either may be missing.
---@param text? string
---@param code? string
---@return string
function M.told(text, code)
  local parts = {}
  table.insert(parts, text)
  table.insert(parts, M.after(code))
  return table.concat(parts, " ")
end

return M
