local client = require("allma.client")

---@param path string
local function open(path)
  vim.cmd.split(vim.fn.fnameescape(path))
  vim.bo.readonly = true
  vim.bo.autoread = true
  vim.cmd("normal! G")
end

---@type allma.Command
return {
  impl = function()
    client.request("status", {}, function(_, status)
      local own = status and vim.fs.joinpath(status.dataDir, "logs", "allma.log")
      open(own and vim.fn.filereadable(own) == 1 and own or vim.lsp.log.get_filename())
    end)
  end,
}
