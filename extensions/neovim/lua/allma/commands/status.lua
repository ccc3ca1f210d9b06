local client = require("allma.client")
local errors = require("allma.errors")

---@param status allma.Status
---@return string[]
local function lines_of(status)
  local model = status.chatModel or "none"
  if not status.ollama.reachable then
    model = model .. ": " .. (status.ollama.reason or "not reachable")
  end
  local lines = {
    "Allma " .. status.version .. ", process " .. status.pid,
    "",
    "Answers   " .. model,
    "Embedder  " .. (status.embedder.name or "chosen when the first file is indexed"),
    "Vectors   " .. status.vectors.store .. ", " .. status.vectors.state,
    "Data      " .. vim.fn.fnamemodify(status.dataDir, ":~"),
    "",
  }
  for _, workspace in ipairs(status.workspaces) do
    table.insert(lines, vim.fn.fnamemodify(workspace.path, ":~"))
    local facts = { ("%d documents, %d passages"):format(workspace.documents, workspace.chunks) }
    for _, name in ipairs({ "pending", "skipped", "failed" }) do
      if workspace[name] > 0 then
        table.insert(facts, ("%d %s"):format(workspace[name], name))
      end
    end
    table.insert(facts, workspace.watching and "watching" or "not watching")
    table.insert(lines, "  " .. table.concat(facts, ", "))
    if workspace.total then
      table.insert(lines, ("  indexing %d of %d files"):format(workspace.done, workspace.total))
    end
    if workspace.reason then
      table.insert(lines, "  " .. workspace.reason)
    end
  end
  if #status.workspaces == 0 then
    table.insert(lines, "No documents indexed. :Allma ingest indexes the project.")
  end
  for _, job in ipairs(status.jobs) do
    local share = job.total and (" %d of %d"):format(job.done, job.total) or ""
    table.insert(lines, ("%s %s: %s%s"):format(job.kind, job.path, job.state, share))
  end
  return vim
    .iter(lines)
    :map(function(line)
      return vim.split(line, "\n")
    end)
    :flatten()
    :totable()
end

---@type allma.Command
return {
  impl = function()
    client.request("status", {}, function(err, status)
      if err then
        return errors.show(err)
      end
      vim.lsp.util.open_floating_preview(lines_of(status), "text", {
        border = vim.o.winborder ~= "" and vim.o.winborder or "rounded",
        focus_id = "allma.status",
        title = " Allma ",
        max_width = 100,
      })
    end, { slot = "float" })
  end,
}
