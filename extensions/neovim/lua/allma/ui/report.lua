--- The report of an indexing run, in a sentence.
local errors = require("allma.errors")

local M = {}

---@param report allma.IngestReport
---@return string
function M.sentence(report)
  local parts = {}
  for _, name in ipairs({ "indexed", "updated", "removed", "unchanged" }) do
    if report[name] > 0 then
      table.insert(parts, ("%d %s"):format(report[name], name))
    end
  end
  for _, name in ipairs({ "skipped", "failed" }) do
    if #report[name] > 0 then
      table.insert(parts, ("%d %s"):format(#report[name], name))
    end
  end
  local text = "Allma: " .. (#parts > 0 and table.concat(parts, ", ") or "nothing to index") .. "."
  if #report.failed > 0 then
    text = text .. " :Allma documents failed shows why."
  elseif #report.skipped > 0 and report.indexed + report.updated + report.unchanged == 0 then
    text = text .. " :Allma documents skipped shows why."
  end
  if report.notice then
    text = text .. " " .. report.notice
  end
  return text
end

---@param err? allma.Error
---@param report? allma.IngestReport|allma.Job
function M.show(err, report)
  if err then
    errors.show(err)
  elseif report and report.indexed then
    local level = #report.failed > 0 and vim.log.levels.WARN or vim.log.levels.INFO
    errors.notify(M.sentence(report), level)
  elseif report then
    errors.notify("Indexing continues in the background; :Allma status shows the progress.")
  end
end

return M
