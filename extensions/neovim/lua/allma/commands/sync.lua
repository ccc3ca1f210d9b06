---@type allma.Command
return {
  usage = "",
  desc = "Bring the index up to date with the disk now.",
  impl = function()
    require("allma.client").request("sync", {}, function(err, report)
      require("allma.ui.report").show(err, report)
    end, { title = "indexing" })
  end,
}
