local config = require("allma.config")
local commands = require("allma.commands")
local options = require("allma.commands.options")
local editor = require("editor")

describe("settings", function()
  it("have defaults that pass their own checks", function()
    local defaults = config.resolve()
    local _, complaints = config.resolve(defaults)
    assert.same({}, complaints)
  end)

  it("of the wrong type are told of and keep their default", function()
    local resolved, complaints = config.resolve({ top_k = "many", chat_size = 0.5 })
    assert.is_nil(resolved.top_k)
    assert.equal(0.5, resolved.chat_size)
    assert.same({ 'The setting "top_k" of Allma is a number, not a string.' }, complaints)
  end)

  it("out of range are told of", function()
    for setting, value in pairs({
      top_k = 51,
      chat_size = 0,
      chat_window = "moon",
      results = "fzf",
      cmd = {},
      root_markers = { 1 },
      keys = { sned = "x" },
    }) do
      local _, complaints = config.resolve({ [setting] = value })
      assert.equal(1, #complaints, setting)
      assert.truthy(complaints[1]:find(setting, 1, true))
    end
  end)

  it("that do not exist name the nearest that does", function()
    local _, complaints = config.resolve({ topk = 3 })
    assert.same({ 'Allma has no setting named "topk". Did you mean "top_k"?' }, complaints)
  end)

  it("change single keys of a chat and keep the others", function()
    local resolved = config.resolve({ keys = { stop = false, open = "gd" } })
    assert.is_false(resolved.keys.stop)
    assert.equal("gd", resolved.keys.open)
    assert.equal("gR", resolved.keys.regenerate)
  end)

  it("that are wrong are told by setup", function()
    require("allma").setup({ chat_modle = "x", attach = false })
    editor.told("chat_modle")
  end)

  it("have a meaning for every key", function()
    assert.same(
      vim.fn.sort(vim.tbl_keys(config.get().keys)),
      vim.fn.sort(vim.tbl_keys(config.key_meanings))
    )
  end)
end)

describe(":Allma", function()
  it("completes its sub-commands and their arguments", function()
    assert.same({ "search", "sync", "status", "stop" }, vim.fn.getcompletion("Allma s", "cmdline"))
    assert.same({ "failed" }, vim.fn.getcompletion("Allma documents f", "cmdline"))
    assert.same({ "++path=", "++plain" }, vim.fn.getcompletion("Allma ask ++p", "cmdline"))
    assert.same({ "rename" }, vim.fn.getcompletion("'<,'>Allma conversations r", "cmdline"))
    assert.same({}, vim.fn.getcompletion("Allma nonsense x", "cmdline"))
  end)

  it("names the nearest sub-command for one that is not there", function()
    vim.cmd("Allma serch words")
    local message = editor.told("serch")
    assert.truthy(message:find("There", 1, true))
  end)

  it("has a file for each sub-command", function()
    local files = vim.fn.glob("lua/allma/commands/*.lua", true, true)
    local names = vim.tbl_map(function(path)
      return vim.fn.fnamemodify(path, ":t:r")
    end, files)
    for _, name in ipairs(commands.names) do
      assert.truthy(vim.list_contains(names, name), name)
      assert.equal("function", type(commands.get(name).impl), name)
    end
    assert.equal(#commands.names + 2, #names)
  end)

  it("tells of options that it does not have", function()
    local params, complaint = options.parse("++fast how?", options.for_ask)
    assert.is_nil(params)
    assert.truthy(complaint:find("++fast", 1, true))
    params, complaint = options.parse("++top=x how?", options.for_ask)
    assert.is_nil(params)
    assert.truthy(complaint:find("++top=8", 1, true))
  end)

  it("takes options off the front of a question, and nothing else", function()
    local params, question = options.parse("++top=3 ++all what does i++ mean?", options.for_ask)
    assert.same({ topK = 3, workspace = "all" }, params)
    assert.equal("what does i++ mean?", question)
  end)
end)

describe("the plugin", function()
  it("loads nothing before it is used", function()
    local program = {
      vim.v.progpath,
      "--clean",
      "--headless",
      "--cmd",
      "set rtp^=" .. vim.fn.getcwd(),
      "+lua local n = vim.tbl_filter(function(m) return vim.startswith(m, 'allma') end, vim.tbl_keys(package.loaded))"
        .. " io.write(vim.fn.exists(':Allma') .. ' ' .. #n)",
      "+qall",
    }
    local result = vim.system(program, { text = true }):wait()
    assert.equal("2 0", result.stdout .. result.stderr)
  end)

  it("says which Neovim it needs on an older one", function()
    local has = vim.fn.has
    vim.fn.has = function(feature) -- luacheck: ignore
      return feature == "nvim-0.11" and 0 or has(feature)
    end
    vim.g.loaded_allma = nil
    vim.cmd.runtime("plugin/allma.lua")
    local said = vim.fn.execute("Allma ask something")
    require("allma").setup()
    vim.fn.has = has -- luacheck: ignore
    vim.g.loaded_allma = nil
    vim.cmd.runtime("plugin/allma.lua")
    assert.truthy(said:find("0.11", 1, true), said)
    editor.told("Allma needs Neovim 0.11 or newer.")
  end)

  it("has a help page with its tags", function()
    local folder = vim.fn.tempname()
    vim.fn.mkdir(folder .. "/doc", "p")
    vim.uv.fs_copyfile("doc/allma.txt", folder .. "/doc/allma.txt")
    vim.cmd.helptags(folder .. "/doc")
    local tags = table.concat(vim.fn.readfile(folder .. "/doc/tags"), "\n")
    for _, tag in ipairs({
      "allma.txt",
      ":Allma",
      ":Allma-ask",
      "allma-settings-cmd",
      "allma-health",
    }) do
      assert.truthy(tags:find(tag .. "\t", 1, true), tag)
    end
  end)
end)
