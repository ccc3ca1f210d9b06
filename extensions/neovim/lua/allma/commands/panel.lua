---@type allma.Command
return {
  impl = function()
    require("allma.ui.panel").toggle()
  end,
}
