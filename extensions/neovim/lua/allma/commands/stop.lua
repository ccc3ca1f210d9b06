local errors = require("allma.errors")

---@type allma.Command
return {
  impl = function(given)
    local count = require("allma").stop()
    if given.args[1] == "server" then
      require("allma.server").stop(function()
        errors.tell("Allma's server has stopped.")
      end)
    elseif count == 0 then
      errors.tell("Nothing is under way.")
    end
  end,
  complete = function(lead)
    return require("allma.commands").matching(lead, { "server" })
  end,
}
