local server = require("allma.server")
local errors = require("allma.errors")

---@type allma.Command
return {
  impl = function()
    server.stop(function()
      server.connect(function(err)
        if err then
          errors.show(err)
        else
          errors.notify("Allma's server has started.")
        end
      end)
    end)
  end,
}
