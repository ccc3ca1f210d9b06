local errors = require("allma.errors")
local scope = require("allma.scope")

---@type allma.Command
return {
  impl = function(given)
    local names = vim.tbl_map(vim.fn.expand, given.args)
    if #names == 0 then
      local file = vim.bo.buftype == "" and vim.api.nvim_buf_get_name(0) or ""
      if file == "" then
        return errors.notify("This buffer has no file. Give the path of a file or folder.")
      end
      names = { file }
    end
    local chat = require("allma.ui.chats").latest()
    for _, name in ipairs(names) do
      chat:pin(scope.absolute(name))
    end
  end,
  complete = function(lead)
    return vim.fn.getcompletion(lead, "file")
  end,
}
