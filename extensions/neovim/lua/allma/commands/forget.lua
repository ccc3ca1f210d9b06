local client = require("allma.client")
local server = require("allma.server")

---@type allma.Command
return {
  impl = function(given)
    local path = vim.fn.expand(given.text ~= "" and given.text or "%:p")
    if path == "" then
      return require("allma.errors").tell("Give the path of an indexed file or folder.")
    end
    if vim.fn.confirm(("Remove %s from the index?"):format(path), "&Remove\n&Cancel", 2) == 1 then
      require("allma").forget(path)
    end
  end,
  complete = function(lead)
    local indexed = {}
    if server.running() then
      local _, status = client.request_sync("status", {}, 1)
      indexed = vim.tbl_map(function(workspace)
        return workspace.path
      end, status and status.workspaces or {})
    end
    local found = require("allma.commands").matching(lead, indexed)
    return #found > 0 and found or vim.fn.getcompletion(lead, "file")
  end,
}
