local client = require("allma.client")
local errors = require("allma.errors")

local STATES = { "failed", "indexed", "skipped" }

---@param document allma.DocumentRow
local function entry(document)
  local detail = document.reason or ("%d passages"):format(document.chunks)
  return {
    filename = document.path,
    module = vim.fn.fnamemodify(document.path, ":~:."),
    lnum = 1,
    text = ("%s: %s"):format(document.state, detail),
    type = document.state == "failed" and "E" or document.state == "skipped" and "W" or "",
  }
end

---@type allma.Command
return {
  impl = function(given)
    local state = given.args[1]
    if state and not vim.list_contains(STATES, state) then
      return errors.notify(
        "The state must be one of: " .. table.concat(STATES, ", ") .. ".",
        vim.log.levels.ERROR
      )
    end
    client.request("documents", { state = state, limit = 1000 }, function(err, page)
      if err then
        return errors.show(err)
      elseif #page.documents == 0 then
        return errors.notify(
          state and ("No documents are %s."):format(state)
            or "No documents indexed. :Allma ingest indexes the project."
        )
      end
      local title = ("Allma: %d documents"):format(page.total)
      if page.total > #page.documents then
        title = ("%s, the first %d"):format(title, #page.documents)
      end
      vim.fn.setqflist({}, " ", { title = title, items = vim.tbl_map(entry, page.documents) })
      vim.cmd("botright copen")
    end, { slot = "list" })
  end,
  complete = function(lead)
    return require("allma.commands").matching(lead, STATES)
  end,
}
