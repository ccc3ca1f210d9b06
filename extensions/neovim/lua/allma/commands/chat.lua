---@type allma.Command
return {
  impl = function(given)
    if given.args[1] == "new" then
      require("allma.ui.chats").new()
    else
      require("allma").chat()
    end
  end,
  complete = function(lead)
    return require("allma.commands").matching(lead, { "new" })
  end,
}
