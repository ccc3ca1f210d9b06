std = "luajit"
cache = false
read_globals = { "vim" }
globals = { "vim.b", "vim.bo", "vim.g", "vim.o", "vim.opt", "vim.wo", "vim.ui", "vim.notify", "vim.lsp" }
max_line_length = 120
exclude_files = { "lua/allma/types.lua" }
files["tests/spec"] = { std = "+busted", globals = { "vim" } }
