if vim.g.loaded_allma then
  return
end
vim.g.loaded_allma = 1

if vim.fn.has("nvim-0.11") == 0 then
  vim.cmd([[command! -nargs=* -range Allma echo "Allma needs Neovim 0.11 or newer."]])
  return
end

vim.api.nvim_create_user_command("Allma", function(given)
  require("allma.commands").run(given)
end, {
  desc = "Ask and search your documents",
  nargs = "*",
  range = true,
  complete = function(...)
    return require("allma.commands").complete(...)
  end,
})

vim.api.nvim_create_autocmd("BufReadCmd", {
  group = vim.api.nvim_create_augroup("allma", {}),
  pattern = "allma://*",
  desc = "Load the content of an allma:// URI",
  callback = function(event)
    require("allma.ui.document").read(event.buf, event.match)
  end,
})
