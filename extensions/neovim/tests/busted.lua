-- Runs specs inside this Neovim:  nvim -u NONE -i NONE -l tests/busted.lua -o TAP tests/spec/chat_spec.lua
local script = vim.fn.fnamemodify(debug.getinfo(1, "S").source:sub(2), ":p")
local here = vim.fs.dirname(vim.fs.dirname(script))

package.path = table.concat({
  package.path,
  vim.env.BUSTED_LUA or "/usr/share/lua/5.1/?.lua;/usr/share/lua/5.1/?/init.lua",
  here .. "/tests/?.lua",
}, ";")
package.cpath = table.concat({
  package.cpath,
  vim.env.BUSTED_C
    or "/usr/lib/x86_64-linux-gnu/lua/5.1/?.so;/usr/lib/aarch64-linux-gnu/lua/5.1/?.so;/usr/lib/lua/5.1/?.so",
}, ";")
vim.opt.runtimepath:prepend(here)
vim.o.swapfile = false
vim.cmd.runtime("plugin/allma.lua")
vim.cmd("filetype plugin on")

require("busted.runner")({ standalone = false, batch = true })
