-- A chat is Markdown with a separate filetype, so that plugins for Markdown files ignore it.
vim.treesitter.language.register("markdown", "allma")
if not pcall(vim.treesitter.start, 0, "markdown") then
  vim.bo.syntax = "markdown"
end
