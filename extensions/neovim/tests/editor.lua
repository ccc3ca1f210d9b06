--- Actions and observations of the specs in Neovim. The server is the real one.
local M = {}

M.TIMEOUT_MS = 30000

--- Waits until a condition holds; fails with `what`.
---@param what string
---@param condition fun(): any
function M.eventually(what, condition)
  local value
  local succeeded = vim.wait(M.TIMEOUT_MS, function()
    value = condition()
    return value
  end, 5)
  if not succeeded then
    error(("timed out waiting until %s; the buffer is:\n%s"):format(what, M.text()), 2)
  end
  return value
end

---@param bufnr? integer
---@return string
function M.text(bufnr)
  return table.concat(vim.api.nvim_buf_get_lines(bufnr or 0, 0, -1, false), "\n")
end

--- Fails unless the current buffer has a text.
---@param part string
function M.shows(part)
  local text = M.text()
  assert(text:find(part, 1, true), ("%q is not in:\n%s"):format(part, text))
end

--- Waits until a number of answers have ended in the chat of the current buffer.
---@param times? integer
function M.answered(times)
  M.eventually("the answer has ended", function()
    local _, count = M.text():gsub("\n## You", "")
    return count == (times or 1) + 1
  end)
end

--- The floating window.
---@return integer?
function M.floating()
  return vim.iter(vim.api.nvim_list_wins()):find(function(window)
    return vim.api.nvim_win_get_config(window).relative ~= ""
  end)
end

--- Creates a project; `files` are contents by name.
---@param files? table<string, string>
---@return string folder
function M.project(files)
  local folder = vim.uv.fs_realpath(vim.fn.tempname():match("^(.*)/") or "/tmp")
    .. "/p"
    .. vim.uv.hrtime()
  vim.fn.mkdir(folder .. "/.git", "p")
  for name, content in pairs(files or M.FILES) do
    vim.fn.mkdir(vim.fs.dirname(folder .. "/" .. name), "p")
    vim.fn.writefile(vim.split(content, "\n"), folder .. "/" .. name)
  end
  return folder
end

M.FILES = {
  ["docs/retries.md"] = "# Guide\n\n"
    .. ("Nothing of interest stands in this long beginning of the guide.\n"):rep(30)
    .. "\n## Retries\n\nThe retry limit of the uploader is seven attempts, then it gives up.\n"
    .. ("It waits longer before each attempt than before the one that came earlier.\n"):rep(11),
  ["src/cache.py"] = [[
def evict_oldest(cache):
    """The cache evicts the oldest entry when it is full."""
    return cache.pop(0)]],
}

---@type { message: string, level: integer }[]
M.messages = {}

function vim.notify(message, level)
  table.insert(M.messages, { message = message, level = level })
end

--- Waits for a notification that contains `part`, and returns it.
---@param part string
---@return string
function M.notified(part)
  return M.eventually(("%q is notified"):format(part), function()
    for _, item in ipairs(M.messages) do
      if item.message:find(part, 1, true) then
        return item.message
      end
    end
  end)
end

--- Configures Allma with the server of the Python under test.
---@param settings? table
function M.setup(settings)
  local python = assert(vim.env.TEST_PYTHON, "TEST_PYTHON names the Python that has allma_server")
  require("allma").setup(vim.tbl_extend("force", {
    cmd = { python, "-m", "allma_server", "lsp", "--solo" },
  }, settings or {}))
end

--- Closes all windows and clears the notifications. The server keeps running.
function M.tidy()
  require("allma").stop()
  vim.cmd("silent! only!")
  vim.cmd("silent! %bwipeout!")
  vim.fn.setqflist({}, "f")
  M.messages = {}
end

--- The same, and stops the server.
function M.reset()
  M.tidy()
  local stopped = false
  require("allma.server").stop(function()
    stopped = true
  end)
  M.eventually("the server has stopped", function()
    return stopped
  end)
end

--- Indexes a folder and waits for it.
---@param folder string
---@return allma.IngestReport
function M.ingest(folder)
  local done, failure
  require("allma").ingest({ folder }, function(err, report)
    failure, done = err, report
  end)
  M.eventually("the folder is indexed", function()
    return done or failure
  end)
  assert(not failure, failure and failure.message)
  return done
end

--- Writes a PDF with one page and one line of text.
---@param path string
---@param line string
function M.write_pdf(path, line)
  local content = ("BT /F1 12 Tf 72 720 Td (%s) Tj ET"):format(line)
  local objects = {
    "<< /Type /Catalog /Pages 2 0 R >>",
    "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
    "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R"
      .. " /Resources << /Font << /F1 5 0 R >> >> >>",
    ("<< /Length %d >>\nstream\n%s\nendstream"):format(#content, content),
    "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
  }
  local text, offsets = "%PDF-1.4\n", {}
  for number, object in ipairs(objects) do
    table.insert(offsets, ("%010d 00000 n \n"):format(#text))
    text = text .. ("%d 0 obj\n%s\nendobj\n"):format(number, object)
  end
  local tail =
    "xref\n0 6\n0000000000 65535 f \n%strailer\n<< /Size 6 /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n"
  text = text .. tail:format(table.concat(offsets), #text)
  local file = assert(io.open(path, "wb"))
  file:write(text)
  file:close()
end

--- Makes the next `vim.ui.select` select the first item whose label contains `part`.
---@param part string
---@return string[] labels Filled when it is called.
function M.will_choose(part)
  local labels = {}
  vim.ui.select = function(items, opts, on_choice)
    for index, item in ipairs(items) do
      local label = (opts.format_item or tostring)(item)
      table.insert(labels, label)
      if label:find(part, 1, true) then
        return on_choice(item, index)
      end
    end
    error(("no choice with %q: %s"):format(part, vim.inspect(labels)))
  end
  return labels
end

--- Presses keys as a user would.
---@param keys string
function M.press(keys)
  vim.api.nvim_feedkeys(vim.keycode(keys), "xt", false)
end

return M
