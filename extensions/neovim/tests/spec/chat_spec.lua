local client = require("allma.client")
local editor = require("editor")

local answered, shows = editor.answered, editor.shows

local function ask(question)
  vim.cmd("Allma ask " .. question)
end

local function line_with(part)
  for number, line in ipairs(vim.api.nvim_buf_get_lines(0, 0, -1, false)) do
    if line:find(part, 1, true) then
      return number
    end
  end
  error(("no line with %q in:\n%s"):format(part, editor.text()), 2)
end

local function go_to(part, column)
  vim.api.nvim_win_set_cursor(0, { line_with(part), column or 0 })
end

local function conversation()
  return assert(vim.api.nvim_buf_get_name(0):match("^allma://conversation/(.+)$"))
end

local function stored(id)
  local err, found = client.request_sync("conversations.show", { id = id }, 20)
  assert.is_nil(err)
  return found
end

describe("a chat", function()
  local project

  setup(function()
    project = editor.project()
    vim.cmd.cd(project)
    editor.setup({ chat_model = "echo" })
    editor.ingest(project)
  end)

  after_each(editor.tidy)
  teardown(editor.reset)

  it("shows the question, the answer and its sources", function()
    ask("what is the retry limit?")
    answered()
    shows(
      "# what is the retry limit?\n\n## You\n\nwhat is the retry limit?\n\n## Allma\n\nYou asked:"
    )
    shows("[1] docs/retries.md:34-47 · Guide › Retries")
    assert.equal("allma", vim.bo.filetype)
    assert.truthy(vim.treesitter.highlighter.active[vim.api.nvim_get_current_buf()])
  end)

  it("shows its keys, wider than its window, until q", function()
    ask("what is the retry limit?")
    answered()
    vim.api.nvim_feedkeys(vim.keycode("g?"), "x", false)
    local float = assert(editor.floating())
    shows("replaces its answer")
    assert.equal(float, vim.api.nvim_get_current_win())
    assert.is_true(vim.api.nvim_win_get_width(float) > 50)
    vim.api.nvim_feedkeys("q", "x", false)
    assert.is_nil(editor.floating())
  end)

  it("opens a source at its line, beside the chat", function()
    ask("what is the retry limit?")
    answered()
    local chat_window = vim.api.nvim_get_current_win()
    go_to("[1] docs/retries.md")
    editor.press("<CR>")
    assert.equal(project .. "/docs/retries.md", vim.api.nvim_buf_get_name(0))
    assert.equal("## Retries", vim.fn.getline("."))
    assert.not_equal(chat_window, vim.api.nvim_get_current_win())
    assert.equal("allma", vim.bo[vim.api.nvim_win_get_buf(chat_window)].filetype)
  end)

  it("opens the source that a number in the answer names", function()
    ask("what is the retry limit?")
    answered()
    local line = vim.fn.getline(line_with("You asked:"))
    go_to("You asked:", assert(line:find("[1]", 1, true)))
    editor.press("gf")
    assert.equal("## Retries", vim.fn.getline("."))
  end)

  it("shows a source's text in a floating window", function()
    ask("what is the retry limit?")
    answered()
    go_to("[1] docs/retries.md")
    editor.press("K")
    local text = editor.text(vim.api.nvim_win_get_buf(editor.floating()))
    assert.truthy(text:find("seven attempts", 1, true), text)
  end)

  it("shows a passage as it is: brackets, stars and backticks are not concealed", function()
    local row = "The kite [7] is *not* `blue` at all."
    vim.fn.writefile({ "# Kites", "", row }, project .. "/kite.md")
    editor.ingest(project)
    vim.o.conceallevel = 2
    ask("++path=kite.md which colour has the kite?")
    answered()
    go_to("[1] ")
    editor.press("K")
    local chat_window = vim.api.nvim_get_current_win()
    local float = editor.floating()
    assert.same({ 0, 0 }, { vim.wo[chat_window].conceallevel, vim.wo[float].conceallevel })
    assert.truthy(editor.text(vim.api.nvim_win_get_buf(float)):find(row, 1, true))
    vim.o.conceallevel = 0
  end)

  it("sends the text below the last heading, and continues the conversation", function()
    ask("what is the retry limit?")
    answered()
    local id = conversation()
    vim.api.nvim_buf_set_lines(0, -1, -1, false, { "and who evicts", "entries?" })
    vim.cmd("normal! G")
    editor.press("<CR>")
    answered(2)
    assert.equal(id, conversation())
    local messages = stored(id).messages
    assert.equal(4, #messages)
    assert.equal("and who evicts\nentries?", messages[3].content)
  end)

  it("keeps the typed text when another question is asked by command", function()
    vim.cmd("Allma chat new")
    vim.api.nvim_buf_set_lines(0, -1, -1, false, { "half a question" })
    ask("what is the retry limit?")
    answered()
    assert.equal("half a question", vim.api.nvim_buf_get_lines(0, -2, -1, false)[1])
  end)

  it("asks about the lines of a range", function()
    vim.cmd.edit("src/cache.py")
    vim.cmd("1,2Allma ask why the oldest?")
    answered()
    shows("why the oldest?\n\nFrom src/cache.py:1-2:\n\n```python\ndef evict_oldest(cache):")
  end)

  it("asks about a selection within lines", function()
    vim.cmd.edit("src/cache.py")
    vim.api.nvim_win_set_cursor(0, { 1, 4 })
    editor.press("ve<Esc>")
    vim.cmd("'<,'>Allma ask what is this?")
    answered()
    shows("```python\nevict_oldest\n```")
  end)

  it("answers without documents with ++plain", function()
    ask("++plain hello there")
    answered()
    shows("You asked: hello there")
    assert.is_nil(editor.text():find("Sources:", 1, true))
  end)

  it("opens a page in the system's viewer, or as text without one", function()
    editor.write_pdf(project .. "/heron.pdf", "The heron waits in the reeds for hours.")
    editor.ingest(project)
    ask("++path=*.pdf where does the heron wait?")
    answered()
    go_to("[1] heron.pdf, page 1")
    local opened
    local open = vim.ui.open
    vim.ui.open = function(path)
      opened = path
      return {}
    end
    editor.press("<CR>")
    assert.equal(project .. "/heron.pdf", opened)
    vim.ui.open = function()
      return nil, "There is no viewer."
    end
    editor.press("<CR>")
    vim.ui.open = open
    assert.truthy(vim.api.nvim_buf_get_name(0):find("^allma://document/"))
    shows("The heron waits in the reeds for hours.")
  end)

  it("says so when no file matches ++path", function()
    ask("++path=*.nothing what is the retry limit?")
    answered()
    shows("No indexed file matches '*.nothing'")
    shows("> :Allma documents lists the files.")
    assert.is_nil(editor.text():find("No passage", 1, true))
  end)

  it("replaces the last question when it is edited", function()
    ask("what is the retry limit?")
    answered()
    local id = conversation()
    editor.press("gE")
    assert.equal("what is the retry limit?", vim.fn.getline("$"))
    vim.fn.setline("$", "when does the cache evict?")
    editor.press("<CR>")
    editor.eventually("the new answer has come", function()
      return editor.text():find("You asked: when does the cache evict?", 1, true)
    end)
    answered()
    editor.eventually("the title is the new question's", function()
      return not editor.text():find("retry limit?", 1, true)
    end)
    local conversation_now = stored(id)
    assert.equal(2, #conversation_now.messages)
    assert.equal("when does the cache evict?", conversation_now.messages[1].content)
  end)

  it("keeps the answer when repeating it fails", function()
    ask("what is the retry limit?")
    answered()
    local before = stored(conversation())
    require("allma.ui.chats")
      .show()
      :ask("and?", { model = "none", useRag = false }, before.messages[1].id)
    editor.notified("none")
    answered()
    shows("You asked: what is the retry limit?")
    assert.is_nil(require("allma.ui.chats").show().call)
    assert.same(before.messages, stored(conversation()).messages)
  end)

  it("can be reopened from the list of conversations, with its sources", function()
    ask("what is the retry limit?")
    answered()
    local id = conversation()
    vim.cmd("bwipeout!")
    editor.will_choose("what is the retry limit?")
    vim.cmd("Allma conversations")
    editor.eventually("the conversation is shown", function()
      return editor.text():find("Sources:", 1, true) and editor.text():find("\n## You\n\n$")
    end)
    assert.equal(id, conversation())
    go_to("[1] docs/retries.md")
    editor.press("<CR>")
    assert.equal("## Retries", vim.fn.getline("."))
  end)

  it("whose loading was stopped still gets the next question", function()
    ask("what is the retry limit?")
    answered()
    local id = conversation()
    vim.cmd("edit!")
    require("allma.ui.chats").show():stop()
    shows("> Stopped.\n> Earlier messages could not be loaded; :edit tries again.")
    ask("and who evicts entries?")
    answered()
    assert.equal(id, conversation())
    assert.equal(4, #stored(id).messages)
  end)

  it("returns a queued question to the input when loading fails", function()
    ask("what is the retry limit?")
    answered()
    local id = conversation()
    vim.cmd("edit!")
    ask("and who evicts entries?")
    ask("and a third one?")
    editor.notified("Allma is still answering.")
    require("allma.ui.chats").show():stop()
    assert.equal("and who evicts entries?", vim.fn.getline("$"))
    assert.equal(2, #stored(id).messages)
  end)

  it("is the one selected last, even after quick selections", function()
    local ids = {}
    for _, question in ipairs({ "what is the retry limit?", "who evicts entries?" }) do
      vim.cmd("Allma chat new")
      ask(question)
      answered()
      ids[#ids + 1] = conversation()
      vim.cmd("bwipeout!")
    end
    require("allma").chat(ids[1])
    require("allma").chat(ids[2])
    ask("and then?")
    answered(2)
    assert.equal(ids[2], conversation())
    shows("# who evicts entries?")
    assert.equal(2, #stored(ids[1]).messages)
    assert.equal(4, #stored(ids[2]).messages)
  end)

  it("is reloaded by :edit", function()
    ask("what is the retry limit?")
    answered()
    -- Notices, such as that of a busy machine, are shown with a new answer and are not stored.
    local function text_without_notices()
      return (editor.text():gsub("\n\n> [^\n]*", ""))
    end
    local before = text_without_notices()
    vim.cmd("edit!")
    editor.eventually("the conversation is shown again", function()
      return text_without_notices() == before
    end)
  end)

  it("shows the message and the next step when an answer fails", function()
    ask("++model=broken what is the retry limit?")
    answered()
    shows("You asked:")
    shows("> The scripted model broke off, as it always does.")
  end)

  it("shows why a model cannot answer", function()
    ask("++model=nobody what is the retry limit?")
    answered()
    shows("> There is no scripted model nobody. `allma models list` shows them.")
    shows(":Allma models selects another model.")
  end)
end)

describe("a long answer", function()
  local function grows()
    local chat = vim.api.nvim_get_current_buf()
    local length = 0
    editor.eventually("the answer grows", function()
      local now = #editor.text(chat)
      length = length == 0 and now or length
      return now > length + 30
    end)
  end

  setup(function()
    local project = editor.project()
    vim.cmd.cd(project)
    editor.setup({ chat_model = "slow" })
    editor.ingest(project)
  end)

  after_each(editor.tidy)
  teardown(editor.reset)

  it("is streamed into a buffer that cannot be edited", function()
    ask("what is the retry limit?")
    grows()
    assert.is_false(vim.bo.modifiable)
    assert.equal("Allma: answering", require("allma").status())
  end)

  it("stops with a key; its text stays, and the conversation continues", function()
    ask("what is the retry limit?")
    grows()
    editor.press("<C-c>")
    answered()
    shows("> Stopped.")
    assert.is_true(vim.bo.modifiable)
    local text = editor.text()
    local id = conversation()
    ask("++model=echo and now?")
    answered(2)
    assert.equal(id, conversation())
    assert.truthy(vim.startswith(editor.text(), vim.trim(text:gsub("\n## You%s*$", ""))))
    local conversation_now = stored(id)
    assert.equal(4, #conversation_now.messages)
    assert.truthy(vim.endswith(conversation_now.messages[2].content, "…"))
  end)

  it("stops with :Allma stop", function()
    ask("what is the retry limit?")
    grows()
    vim.cmd("Allma stop")
    answered()
    shows("> Stopped.")
  end)

  it("is replaced when it is repeated", function()
    ask("++model=slow what is the retry limit?")
    grows()
    editor.press("<C-c>")
    answered()
    editor.press("gR")
    grows()
    editor.press("<C-c>")
    answered()
    local _, count = editor.text():gsub("\nwhat is the retry limit%?\n", "")
    assert.equal(1, count)
    editor.eventually("question and answer are stored", function()
      return #stored(conversation()).messages == 2
    end)
  end)

  it("ends with a message when the server is killed, and the next question restarts it", function()
    ask("what is the retry limit?")
    grows()
    local pid = assert(
      client.request_sync("status", {}, 20) == nil
        and select(2, client.request_sync("status", {}, 20))
    ).pid
    vim.uv.kill(pid, "sigkill")
    answered()
    shows("> Allma's server exited before it answered (signal 9).")
    ask("++model=echo still there?")
    answered(2)
    shows("You asked: still there?")
  end)

  it("is cancelled when its buffer is wiped out", function()
    ask("what is the retry limit?")
    grows()
    vim.cmd("bwipeout!")
    assert.equal(0, #client.calls())
  end)
end)

describe("without Ollama", function()
  after_each(editor.reset)

  it("the chat shows the passages, and how to start Ollama", function()
    local project = editor.project()
    vim.cmd.cd(project)
    editor.setup({
      cmd_env = { ALLMA_CHAT_PROVIDER = "ollama", ALLMA_OLLAMA_URL = "http://127.0.0.1:9" },
    })
    editor.ingest(project)
    ask("what is the retry limit?")
    answered()
    shows("`ollama serve`")
    shows("[1] docs/retries.md:34-47 · Guide › Retries\n  > ## Retries\n  > ")
    shows("seven attempts")
  end)

  it("texts that cannot be embedded are found by keywords, and the chat says why", function()
    local project = editor.project()
    vim.cmd.cd(project)
    editor.setup({
      cmd_env = {
        ALLMA_DATA_DIR = vim.fn.tempname(),
        ALLMA_EMBEDDER = "ollama/nomic-embed-text",
        ALLMA_OLLAMA_URL = "http://127.0.0.1:9",
      },
      chat_model = "echo",
    })
    editor.ingest(project)
    ask("what is the retry limit?")
    answered()
    shows("Ollama is not running")
    shows(":checkhealth allma shows the cause.")
    vim.cmd("Allma search retry limit")
    assert.truthy(editor.notified(":checkhealth allma"):find("Ollama is not running", 1, true))
  end)
end)
