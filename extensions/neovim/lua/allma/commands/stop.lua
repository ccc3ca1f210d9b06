local errors = require("allma.errors")

---@type allma.Command
return {
  impl = function(given)
    local count = require("allma").stop()
    if given.args[1] == "server" then
      require("allma.server").stop(function()
        errors.notify("Allma's server has stopped.")
      end)
    elseif count == 0 then
      errors.notify("Nothing to stop.")
    end
  end,
  complete = function(lead)
    return require("allma.commands").matching(lead, { "server" })
  end,
}
