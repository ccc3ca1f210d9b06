-- A chat is Markdown, in a filetype of its own so that what is meant for files stays out of it.
vim.treesitter.language.register("markdown", "allma")
if not pcall(vim.treesitter.start, 0, "markdown") then
  vim.bo.syntax = "markdown"
end
