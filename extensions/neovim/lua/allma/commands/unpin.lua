local scope = require("allma.scope")

---@type allma.Command
return {
  impl = function(given)
    local chat = require("allma.ui.chats").latest()
    local names = #given.args > 0 and given.args or vim.deepcopy(chat.pins)
    for _, name in ipairs(names) do
      chat:unpin(scope.absolute(vim.fn.expand(name)))
    end
  end,
  complete = function(lead)
    local names = vim.tbl_map(function(path)
      return vim.fn.fnamemodify(path, ":~:.")
    end, require("allma.ui.chats").latest().pins)
    return require("allma.commands").matching(lead, names)
  end,
}
