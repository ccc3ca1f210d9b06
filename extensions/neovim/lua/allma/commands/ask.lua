local errors = require("allma.errors")
local options = require("allma.commands.options")

---@type allma.Command
return {
  impl = function(given)
    local params, question = options.parse(given.text, options.for_ask)
    if not params then
      return errors.notify(question, vim.log.levels.ERROR)
    end
    local function ask(text)
      if not text or vim.trim(text) == "" then
        return
      end
      require("allma").ask(given.selection and text .. "\n\n" .. given.selection or text, params)
    end
    if question ~= "" then
      ask(question)
    else
      local about = given.selection and "Ask about the selection: " or "Ask: "
      vim.ui.input({ prompt = about, default = given.selection and "Explain this." or nil }, ask)
    end
  end,
  complete = function(lead)
    return options.complete(lead, options.for_ask)
  end,
}
