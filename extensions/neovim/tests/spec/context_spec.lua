local editor = require("editor")

local answered, shows = editor.answered, editor.shows

local function sources()
  return vim.iter(vim.api.nvim_buf_get_lines(0, 0, -1, false)):fold({}, function(found, line)
    local path = line:match("^%- %[%d+%] ([^:]+):")
    return path and vim.list_extend(found, { path }) or found
  end)
end

local function winbar()
  local options = { winid = 0, use_winbar = true, maxwidth = 80 }
  local drawn = vim.api.nvim_eval_statusline(vim.wo.winbar, options)
  return vim.trim(drawn.str)
end

describe("what a question is about", function()
  local project

  setup(function()
    project = editor.project(vim.tbl_extend("error", editor.FILES, {
      ["docs/limits, old.md"] = "# Old limits\n\nThe retry limit of the uploader was nine.\n",
    }))
    vim.cmd.cd(project)
    editor.setup({ chat_model = "echo" })
    editor.ingest(project)
  end)

  after_each(editor.tidy)
  teardown(editor.reset)

  it("is restricted to pinned files, which the bar above the chat names", function()
    vim.cmd.edit("src/cache.py")
    vim.cmd("Allma pin")
    vim.cmd("Allma ask what is the retry limit?")
    answered()
    assert.same({ "src/cache.py" }, sources())
    assert.equal("Documents: on (gD)  only src/cache.py", winbar())
    vim.cmd("Allma pin docs/limits,\\ old.md")
    vim.cmd("Allma unpin src/cache.py")
    vim.cmd("Allma unpin")
    assert.equal("Documents: on (gD)", winbar())
    editor.notified("Questions in the chat are answered from all documents.")
  end)

  it("is restricted to the files that it mentions, for this question only", function()
    vim.cmd("Allma ask what says @src/cache.py of the retry limit?")
    answered()
    assert.same({ "src/cache.py" }, sources())
    vim.cmd("Allma ask what is the retry limit?")
    answered(2)
    assert.truthy(vim.list_contains(sources(), "docs/retries.md"))
  end)

  it("can name several files and folders, also with commas", function()
    require("allma.ui.chats").latest():pin(project .. "/docs/limits, old.md")
    vim.cmd("Allma ask retry limit and @src")
    answered()
    local found = sources()
    table.sort(found)
    assert.same({ "docs/limits, old.md", "src/cache.py" }, found)
  end)

  it("is asked without a mentioned file that is gone, and says so", function()
    vim.cmd("Allma ask what is the retry limit in @docs/gone.md?")
    editor.notified("There is no file or folder docs/gone.md?; the question is asked without it.")
    answered()
    assert.truthy(#sources() > 0)
    vim.cmd("Allma pin docs/gone.md")
    editor.notified("There is no file or folder " .. project .. "/docs/gone.md.")
  end)

  it("is answered without documents when they are switched off", function()
    vim.cmd("Allma chat new")
    editor.press("gD")
    assert.equal("Documents: off (gD)", winbar())
    vim.cmd("Allma ask what is the retry limit?")
    answered()
    assert.same({}, sources())
    editor.press("gD")
    vim.cmd("Allma ask what is the retry limit?")
    answered(2)
    assert.truthy(#sources() > 0)
  end)

  it("completes the names of files after an @", function()
    vim.cmd("Allma chat new")
    vim.api.nvim_buf_set_lines(0, -1, -1, false, { "what says @src/ca" })
    vim.cmd("normal! G$")
    editor.press("a<C-x><C-o><Esc>")
    assert.equal("what says @src/cache.py", vim.fn.getline("."))
    vim.cmd.badd("docs/retries.md")
    vim.bo[vim.fn.bufnr("docs/retries.md")].buflisted = true
    editor.press("a and @retr<C-x><C-o><Esc>")
    assert.equal("what says @src/cache.py and @docs/retries.md", vim.fn.getline("."))
  end)
end)

describe("the panel of conversations", function()
  setup(function()
    local project = editor.project()
    vim.cmd.cd(project)
    editor.setup({ chat_model = "echo", cmd_env = { ALLMA_DATA_DIR = vim.fn.tempname() } })
    editor.ingest(project)
  end)

  after_each(editor.tidy)
  teardown(editor.reset)

  local function panel()
    return vim.fn.bufnr("^allma://conversations$")
  end

  local function lists(...)
    local titles = { ... }
    editor.eventually("the panel lists " .. table.concat(titles, ", "), function()
      local lines = vim.api.nvim_buf_get_lines(panel(), 0, -1, false)
      local shown = vim.tbl_map(function(line)
        return line:match("^%d%d%-%d%d  (.*)$")
      end, lines)
      return vim.deep_equal(titles, shown)
    end)
  end

  it("opens, renames and deletes them, and follows the chat", function()
    vim.cmd("Allma panel")
    editor.eventually("the panel is empty", function()
      return editor.text(panel()) == "No conversations."
    end)
    vim.cmd.wincmd("p")
    vim.cmd("Allma ask what is the retry limit?")
    answered()
    lists("what is the retry limit?")
    vim.cmd("Allma chat new")
    vim.cmd("Allma ask who evicts entries?")
    answered()
    lists("who evicts entries?", "what is the retry limit?")
    vim.api.nvim_set_current_win(vim.fn.bufwinid(panel()))
    vim.api.nvim_win_set_cursor(0, { 2, 0 })
    vim.ui.input = function(_, on_confirm)
      on_confirm("Retries")
    end
    editor.press("r")
    lists("who evicts entries?", "Retries")
    editor.press("<CR>")
    editor.eventually("the conversation is shown", function()
      return vim.startswith(editor.text(), "# Retries\n")
    end)
    shows("You asked: what is the retry limit?")
    vim.api.nvim_set_current_win(vim.fn.bufwinid(panel()))
    vim.api.nvim_win_set_cursor(0, { 1, 0 })
    vim.fn.confirm = function()
      return 1
    end
    editor.press("d")
    lists("Retries")
    editor.press("q")
    assert.equal(-1, panel())
  end)

  it("fits into 20 columns", function()
    local columns = vim.o.columns
    vim.o.columns = 20
    vim.cmd("Allma panel")
    assert.truthy(vim.fn.bufwinid(panel()) > 0)
    vim.cmd("Allma panel")
    vim.cmd("Allma ask what is the retry limit?")
    answered()
    shows("You asked:")
    vim.o.columns = columns
  end)
end)

describe("search results", function()
  after_each(editor.reset)

  local opened
  local function open()
    opened = #vim.fn.getqflist()
  end

  for module, picker in pairs({
    ["telescope.builtin"] = { quickfix = open },
    ["fzf-lua"] = { quickfix = open },
    snacks = { config = { picker = { enabled = true } }, picker = { qflist = open } },
  }) do
    it("open in " .. module .. " if it is installed", function()
      local project = editor.project()
      vim.cmd.cd(project)
      editor.setup()
      editor.ingest(project)
      package.loaded[module] = picker
      vim.cmd("Allma search retry limit")
      editor.eventually("the picker is opened", function()
        return opened
      end)
      package.loaded[module] = nil
      assert.truthy(opened > 0)
      opened = nil
    end)
  end
end)
