---@type allma.Command
return {
  impl = function()
    require("allma.client").request("sync", {}, function(err, report)
      require("allma.ui.report").show(err, report)
    end, { title = "indexing" })
  end,
}
