---@type allma.Command
return {
  impl = function(given)
    local paths = vim.tbl_map(vim.fn.expand, given.args)
    if #paths == 0 then
      paths = { require("allma.server").root(0) or vim.fn.getcwd() }
    end
    require("allma").ingest(paths)
  end,
  complete = function(lead)
    return vim.fn.getcompletion(lead, "file")
  end,
}
