local client = require("allma.client")
local errors = require("allma.errors")
local options = require("allma.commands.options")

---@type allma.Command
return {
  impl = function(given)
    local params, query = options.parse(given.text, options.for_search)
    if not params then
      return errors.notify(query, vim.log.levels.ERROR)
    end
    local function explain(text)
      if not text or vim.trim(text) == "" then
        return
      end
      params.query = text
      client.request("explain", params, function(err, explanation)
        if err then
          return errors.show(err)
        end
        require("allma.ui.explanation").show(explanation)
      end, { title = "searching", slot = "explanation" })
    end
    if query ~= "" then
      explain(query)
    else
      vim.ui.input({ prompt = "Explain the search for: " }, explain)
    end
  end,
  complete = function(lead)
    return options.complete(lead, options.for_search)
  end,
}
