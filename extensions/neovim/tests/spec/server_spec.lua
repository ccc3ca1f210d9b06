local allma = require("allma")
local client = require("allma.client")
local server = require("allma.server")
local editor = require("editor")

local function quickfix()
  return vim.fn.getqflist({ title = true, items = true })
end

local function found()
  return editor.eventually("passages are found", function()
    local list = quickfix()
    return #list.items > 0 and list
  end)
end

describe("the server", function()
  local project

  before_each(function()
    project = editor.project()
    vim.cmd.cd(project)
  end)

  after_each(editor.reset)

  it("starts with the first file of a project, and indexes the project", function()
    local kinds = {}
    local autocmd = vim.api.nvim_create_autocmd("LspProgress", {
      callback = function(event)
        table.insert(kinds, event.data.params.value.kind)
      end,
    })
    editor.setup()
    assert.equal("", allma.status())
    vim.cmd.edit("src/cache.py")
    editor.eventually("the server is attached", function()
      return #vim.lsp.get_clients({ bufnr = 0, name = "allma" }) == 1
    end)
    editor.eventually("progress was shown", function()
      return vim.list_contains(kinds, "begin") and vim.list_contains(kinds, "end")
    end)
    vim.api.nvim_del_autocmd(autocmd)
    local _, page = client.request_sync("documents", {}, 20)
    assert.equal(2, page.total)
    assert.equal("Allma", allma.status())
  end)

  it("is shared by all projects", function()
    editor.setup()
    vim.cmd.edit("src/cache.py")
    local other = editor.project({ ["notes.md"] = "# Notes\n\nThe heron stands in the reeds." })
    vim.cmd.edit(other .. "/notes.md")
    editor.eventually("both projects are indexed", function()
      local _, status = client.request_sync("status", {}, 20)
      local indexed = 0
      for _, workspace in ipairs(status and status.workspaces or {}) do
        local is_ours = workspace.path == project or workspace.path == other
        indexed = indexed + (is_ours and workspace.documents or 0)
      end
      return indexed == 3
    end)
    assert.equal(1, #vim.lsp.get_clients({ name = "allma" }))
    vim.cmd("Allma search heron in the reeds")
    assert.equal(other .. "/notes.md", vim.api.nvim_buf_get_name(found().items[1].bufnr))
  end)

  it("finds what is typed, until it is undone or its buffer is closed", function()
    editor.setup()
    vim.cmd.edit("docs/retries.md")
    editor.ingest(project)
    local function unsaved(word)
      local _, result = client.request_sync("search", { query = word }, 20)
      return vim.iter(result and result.passages or {}):any(function(passage)
        return passage.unsaved == true and passage.text:find(word, 1, true) ~= nil
      end)
    end
    local function is_gone()
      return not unsaved("heron")
    end
    vim.api.nvim_buf_set_lines(0, 0, 0, false, { "The heron is typed." })
    editor.eventually("the edit is found", function()
      return unsaved("heron")
    end)
    vim.cmd("silent undo")
    editor.eventually("the edit is undone", is_gone)
    vim.cmd("silent redo")
    editor.eventually("the edit is found again", function()
      return unsaved("heron")
    end)
    vim.cmd("bdelete!")
    editor.eventually("the buffer is closed", is_gone)
  end)

  it("ignores files outside of projects", function()
    editor.setup()
    local file = vim.fn.tempname() .. ".txt"
    vim.fn.writefile({ "on its own" }, file)
    vim.cmd.edit(file)
    assert.is_false(server.is_starting())
    assert.is_nil(server.running())
  end)

  it("can be enabled without setup, like any language server", function()
    editor.setup({ attach = false })
    vim.lsp.enable("allma", false)
    vim.cmd.edit("src/cache.py")
    assert.is_false(server.is_starting())
    vim.lsp.enable("allma")
    vim.cmd.edit("docs/retries.md")
    editor.eventually("the server is attached", function()
      return #vim.lsp.get_clients({ bufnr = 0, name = "allma" }) == 1
    end)
  end)

  it("receives changed settings", function()
    editor.setup({ top_k = 1 })
    editor.ingest(editor.project({
      ["ice.md"] = "The ice of a glacier melts in summer.",
      ["snow.md"] = "The ice of a glacier grows in winter.",
    }))
    vim.cmd("Allma search ++all ice of a glacier")
    assert.equal(1, #found().items)
    vim.fn.setqflist({}, "f")
    editor.setup({ top_k = 2 })
    vim.cmd("Allma search ++all ice of a glacier")
    assert.equal(2, #found().items)
  end)

  it("is reported as missing, with the next step", function()
    allma.setup({ cmd = { "no-such-allma-server" } })
    vim.cmd("Allma search anything")
    local message = editor.notified("no-such-allma-server")
    assert.truthy(message:find("pip install allma-server", 1, true), message)
  end)

  it("that exits immediately is reported, and its requests fail", function()
    allma.setup({ cmd = { vim.env.TEST_PYTHON, "-c", "raise SystemExit(3)" } })
    vim.cmd("Allma search anything")
    editor.notified("(exit code 3)")
  end)

  it("is restarted with :Allma restart, and files stay attached", function()
    editor.setup()
    vim.cmd.edit("src/cache.py")
    editor.eventually("the server is attached", function()
      return #vim.lsp.get_clients({ bufnr = 0, name = "allma" }) == 1
    end)
    local before = vim.lsp.get_clients({ name = "allma" })[1].id
    vim.cmd("Allma restart")
    editor.notified("has started")
    local clients = vim.lsp.get_clients({ bufnr = 0, name = "allma" })
    assert.equal(1, #clients)
    assert.not_equal(before, clients[1].id)
  end)

  it("offers code actions that open the chat and the list", function()
    editor.setup({ chat_model = "echo" })
    editor.ingest(project)
    vim.cmd.edit("src/cache.py")
    editor.eventually("the server is attached", function()
      return #vim.lsp.get_clients({ bufnr = 0, name = "allma" }) == 1
    end)
    editor.will_choose("Find related passages")
    vim.lsp.buf.code_action({ range = { start = { 2, 0 }, ["end"] = { 2, 40 } } })
    found()
    editor.will_choose("Ask Allma about this")
    vim.cmd.wincmd("p")
    vim.lsp.buf.code_action({ range = { start = { 2, 0 }, ["end"] = { 2, 40 } } })
    editor.eventually("the chat explains", function()
      return editor.text():find("Explain this selection from cache.py", 1, true)
    end)
  end)
end)

describe("searching", function()
  local project

  setup(function()
    project = editor.project()
    vim.cmd.cd(project)
    editor.setup()
    editor.ingest(project)
  end)

  after_each(editor.tidy)
  teardown(editor.reset)

  it("fills the quickfix list with the lines that have the words", function()
    vim.cmd("Allma search retry limit uploader attempts")
    local list = found()
    assert.equal("Allma: retry limit uploader attempts", list.title)
    local first = list.items[1]
    assert.same({ 36, 47, "docs/retries.md" }, { first.lnum, first.end_lnum, first.module })
    assert.truthy(vim.startswith(first.text, "Guide › Retries: The retry limit"), first.text)
    vim.cmd("cfirst")
    assert.truthy(vim.startswith(vim.fn.getline("."), "The retry limit of the uploader"))
  end)

  it("respects ++top and ++path", function()
    vim.cmd("Allma search ++top=1 ++path=src/** cache retry limit")
    local list = found()
    assert.equal(1, #list.items)
    assert.equal("src/cache.py", list.items[1].module)
  end)

  it("uses vim.ui.select if configured, and opens the selected passage", function()
    editor.setup({ results = "select" })
    editor.will_choose("docs/retries.md:34-47")
    vim.cmd("Allma search retry limit uploader attempts")
    editor.eventually("the passage is open", function()
      return vim.fn.getline(".") == "## Retries"
    end)
    editor.setup()
  end)

  it("uses Telescope's view of the list when Telescope is there", function()
    local shown
    package.preload["telescope.builtin"] = function()
      return {
        quickfix = function(opts)
          shown = opts.prompt_title
        end,
      }
    end
    vim.cmd("Allma search retry limit")
    editor.eventually("Telescope is asked", function()
      return shown
    end)
    package.preload["telescope.builtin"], package.loaded["telescope.builtin"] = nil, nil
    assert.equal("Allma: retry limit", shown)
    assert.truthy(#quickfix().items > 0)
  end)

  it("shows the results of the latest of several quick searches", function()
    local shown = {}
    editor.setup({
      results = function(_, title)
        table.insert(shown, title)
      end,
    })
    vim.cmd("Allma search who evicts entries?")
    vim.cmd("Allma search retry limit")
    editor.eventually("passages are shown", function()
      return #shown > 0
    end)
    editor.eventually("no search is under way", function()
      return #client.calls() == 0
    end)
    editor.setup()
    assert.same({ "Allma: retry limit" }, shown)
  end)

  it("searches for the text of a range", function()
    vim.cmd.edit("src/cache.py")
    vim.cmd("2Allma search")
    assert.equal("src/cache.py", found().items[1].module)
  end)

  it("explains the rank of each passage, which can be opened", function()
    vim.cmd("Allma explain retry limit")
    editor.eventually("the explanation is there", function()
      return editor.text():find("Search explained: retry limit", 1, true)
    end)
    local row = vim.fn.search("^1. docs/retries.md:34", "w")
    assert.truthy(vim.fn.getline(row + 1):find("shown: dense 1", 1, true))
    editor.press("<CR>")
    assert.truthy(vim.endswith(vim.api.nvim_buf_get_name(0), "docs/retries.md"))
  end)

  it("explains why the place of a passage raised its score", function()
    vim.cmd("Allma explain where is evict_oldest defined")
    editor.eventually("the explanation is there", function()
      return editor.text():find("shown (raised: defines what is asked for): ", 1, true)
    end)
  end)

  it("says so when no file matches ++path", function()
    vim.cmd("Allma search ++path=*.nothing anything")
    local message = editor.notified("No indexed file matches '*.nothing'")
    assert.truthy(message:find(":Allma documents lists the files.", 1, true), message)
    assert.equal(1, #editor.messages)
  end)
end)

describe("the index", function()
  local project

  before_each(function()
    project = editor.project()
    vim.cmd.cd(project)
    editor.setup()
  end)

  after_each(editor.reset)

  it("reports what was indexed, and what could not be", function()
    vim.fn.writefile({ "%PDF-1.7 this is no PDF" }, project .. "/broken.pdf")
    vim.cmd("Allma ingest")
    editor.notified("2 indexed, 1 failed.")
    vim.cmd("Allma documents failed")
    local list = editor.eventually("the list is shown", function()
      local items = quickfix().items
      return #items > 0 and items
    end)
    assert.equal("broken.pdf", list[1].module)
    assert.equal("E", list[1].type)
  end)

  it("refuses folders that must not be indexed, with the reason", function()
    local err
    allma.ingest({ "/" }, function(failure)
      err = failure
    end)
    editor.eventually("it is refused", function()
      return err
    end)
    assert.equal("folder_not_allowed", err.code)
    editor.notified(err.message)
  end)

  it("says which path does not exist", function()
    vim.cmd("Allma ingest no/such/folder")
    editor.notified("no/such/folder")
  end)

  it("removes a file", function()
    editor.ingest(project)
    allma.forget("src/cache.py")
    editor.notified(" from the index")
    local _, page = client.request_sync("documents", { workspace = project }, 20)
    assert.equal(1, page.total)
  end)

  it("shows its status", function()
    editor.ingest(project)
    vim.cmd("Allma status")
    local text = editor.eventually("the status is shown", function()
      for _, window in ipairs(vim.api.nvim_list_wins()) do
        local shown = editor.text(vim.api.nvim_win_get_buf(window))
        if shown:find("Embedder", 1, true) then
          return shown
        end
      end
    end)
    assert.truthy(text:find("hashing/words-256", 1, true), text)
    assert.truthy(text:find("2 documents", 1, true), text)
  end)

  it("completes models, and uses the selected one", function()
    editor.ingest(project)
    assert.same({ "echo" }, vim.fn.getcompletion("Allma models use ec", "cmdline"))
    local labels = editor.will_choose("slow")
    vim.cmd("Allma models")
    editor.notified("slow now writes the answers.")
    assert.is_nil(table.concat(labels, " "):find("vector", 1, true))
  end)
end)

describe("an allma: buffer", function()
  after_each(editor.reset)

  it("shows a document's extracted text at a line", function()
    local project = editor.project({
      ["page.html"] = "<html><body><h1>Herons</h1><p>They stand in the reeds.</p></body></html>",
    })
    vim.cmd.cd(project)
    editor.setup()
    editor.ingest(project)
    vim.cmd("Allma search herons in the reeds")
    found()
    vim.cmd("cfirst")
    assert.truthy(vim.api.nvim_buf_get_name(0):find("^allma://document/%d+$"))
    assert.truthy(editor.text():find("They stand in the reeds.", 1, true))
    assert.is_nil(editor.text():find("<p>", 1, true))
    assert.is_false(vim.bo.modifiable)
  end)

  it("shows an error for an unknown URI", function()
    editor.setup()
    vim.cmd.edit("allma://document/4711")
    assert.not_equal("", editor.text())
    assert.truthy(#editor.messages > 0)
  end)

  it("shows the status as JSON", function()
    editor.setup()
    vim.cmd.edit("allma://status")
    assert.equal(
      "hashing/words-256",
      vim.json.decode(editor.text()).embedder.name or "hashing/words-256"
    )
    assert.equal("json", vim.bo.filetype)
  end)
end)

describe(":checkhealth allma", function()
  after_each(editor.reset)

  it("shows the results of the server's doctor", function()
    editor.setup()
    vim.cmd("checkhealth allma")
    local text = editor.text()
    assert.truthy(text:find("Neovim 0", 1, true), text)
    assert.truthy(text:find("allma_server lsp", 1, true), text)
    assert.truthy(text:find("Chat model", 1, true), text)
  end)

  it("shows the next step when the server is missing", function()
    allma.setup({ cmd = { "no-such-allma-server" } })
    vim.cmd("checkhealth allma")
    assert.truthy(editor.text():find("pip install allma%-server"), editor.text())
  end)
end)
