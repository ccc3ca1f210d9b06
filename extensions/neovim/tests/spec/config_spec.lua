local config = require("allma.config")
local commands = require("allma.commands")
local options = require("allma.commands.options")
local editor = require("editor")

describe("settings", function()
  it("have defaults that pass their own checks", function()
    local defaults = config.resolve()
    local _, problems = config.resolve(defaults)
    assert.same({}, problems)
  end)

  it("of the wrong type are reported and keep their default", function()
    local resolved, problems = config.resolve({ top_k = "many", chat_size = 0.5 })
    assert.is_nil(resolved.top_k)
    assert.equal(0.5, resolved.chat_size)
    assert.same({ "Allma: top_k must be a number, not a string." }, problems)
  end)

  it("out of range are reported", function()
    for setting, value in pairs({
      top_k = 51,
      chat_size = 0,
      chat_window = "moon",
      results = "fzf",
      cmd = {},
      root_markers = { 1 },
      keys = { sned = "x" },
    }) do
      local _, problems = config.resolve({ [setting] = value })
      assert.equal(1, #problems, setting)
      assert.truthy(problems[1]:find(setting, 1, true))
    end
  end)

  it("that do not exist are reported with the nearest name", function()
    local _, problems = config.resolve({ topk = 3 })
    assert.same({ 'Allma has no setting named "topk". Did you mean "top_k"?' }, problems)
  end)

  it("change single keys of a chat", function()
    local resolved = config.resolve({ keys = { stop = false, open = "gd" } })
    assert.is_false(resolved.keys.stop)
    assert.equal("gd", resolved.keys.open)
    assert.equal("gR", resolved.keys.regenerate)
  end)

  it("that are invalid are reported by setup", function()
    require("allma").setup({ chat_modle = "x", attach = false })
    editor.notified("chat_modle")
  end)

  it("have a description for every key", function()
    assert.same(
      vim.fn.sort(vim.tbl_keys(config.get().keys)),
      vim.fn.sort(vim.tbl_keys(config.key_descriptions))
    )
  end)
end)

describe(":Allma", function()
  it("completes its subcommands and their arguments", function()
    assert.same({ "search", "sync", "status", "stop" }, vim.fn.getcompletion("Allma s", "cmdline"))
    assert.same({ "failed" }, vim.fn.getcompletion("Allma documents f", "cmdline"))
    assert.same({ "++path=", "++plain" }, vim.fn.getcompletion("Allma ask ++p", "cmdline"))
    assert.same({ "rename" }, vim.fn.getcompletion("'<,'>Allma conversations r", "cmdline"))
    assert.same({}, vim.fn.getcompletion("Allma nonsense x", "cmdline"))
  end)

  it("suggests the nearest subcommand for an unknown one", function()
    vim.cmd("Allma serch words")
    local message = editor.notified("serch")
    assert.truthy(message:find('Unknown command :Allma serch. Did you mean "search"?', 1, true))
  end)

  it("has a file for each subcommand", function()
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

  it("reports unknown options", function()
    local params, complaint = options.parse("++fast how?", options.for_ask)
    assert.is_nil(params)
    assert.truthy(complaint:find("++fast", 1, true))
    params, complaint = options.parse("++top=x how?", options.for_ask)
    assert.is_nil(params)
    assert.truthy(complaint:find("++top=8", 1, true))
  end)

  it("removes only leading options from a question", function()
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

  it("says which Neovim it needs in an older one", function()
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
    editor.notified("Allma needs Neovim 0.11 or newer.")
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
