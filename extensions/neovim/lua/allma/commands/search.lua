local errors = require("allma.errors")
local options = require("allma.commands.options")

---@type allma.Command
return {
  impl = function(given)
    local params, query = options.parse(given.text, options.for_search)
    if not params then
      return errors.notify(query, vim.log.levels.ERROR)
    end
    local function search(text)
      if text and vim.trim(text) ~= "" then
        require("allma").search(text, params)
      end
    end
    if query == "" and given.selection then
      search(given.selection)
    elseif query == "" then
      vim.ui.input({ prompt = "Search: " }, search)
    else
      search(query)
    end
  end,
  complete = function(lead)
    return options.complete(lead, options.for_search)
  end,
}
