--- The public API: ask, search and index local folders and documents.
local M = {}

--- Configures Allma. Commands work without it, with the default settings.
---@param settings? table<string, any> See |allma-settings|.
function M.setup(settings)
  local errors = require("allma.errors")
  if vim.fn.has("nvim-0.11") == 0 then
    return errors.notify("Allma needs Neovim 0.11 or newer.", vim.log.levels.WARN)
  end
  for _, problem in ipairs(require("allma.config").set(settings)) do
    errors.notify(problem, vim.log.levels.ERROR)
  end
  require("allma.server").settings_changed()
  if require("allma.config").get().attach then
    vim.lsp.enable("allma")
  end
end

--- Asks a question in the latest chat, or in a new one.
---@param question string
---@param options? allma.AskOptions
function M.ask(question, options)
  require("allma.ui.chats").show():ask(question, options)
end

--- Opens the latest chat, or a conversation.
---@param conversation_id? string
function M.chat(conversation_id)
  require("allma.ui.chats").show(conversation_id)
end

--- Searches, and shows the passages as configured by the setting `results`.
---@param query string
---@param options? allma.SearchOptions
function M.search(query, options)
  local errors = require("allma.errors")
  local params = vim.tbl_extend("force", options or {}, { query = query })
  require("allma.client").request("search", params, function(err, found)
    if err then
      return errors.show(err)
    end
    local steps = require("allma.steps")
    if found.notice then
      errors.notify(steps.append_to(found.notice, found.noticeCode), vim.log.levels.WARN)
    elseif #found.passages == 0 then
      errors.notify(("No passage matches %q. %s"):format(query, steps.nothing_found))
    end
    if #found.passages == 0 then
      return
    end
    require("allma.ui.results").show(found.passages, query)
  end, { title = "searching", slot = "list" })
end

--- Indexes files and folders, and keeps them indexed.
---@param paths string[]
---@param on_done? fun(err?: allma.Error, report?: allma.IngestReport)
function M.ingest(paths, on_done)
  local absolute = vim.tbl_map(function(path)
    return vim.fs.normalize(vim.fn.fnamemodify(path, ":p")):gsub("(.)/$", "%1")
  end, paths)
  require("allma.client").request("ingest", { paths = absolute }, function(err, report)
    require("allma.ui.report").show(err, report)
    if on_done then
      on_done(err, report)
    end
  end, { title = "indexing" })
end

--- Removes a file or folder from the index, not from disk.
---@param path string
function M.forget(path)
  local errors = require("allma.errors")
  local absolute = vim.fs.normalize(vim.fn.fnamemodify(path, ":p")):gsub("(.)/$", "%1")
  require("allma.client").request("forget", { path = absolute }, function(err, report)
    if err then
      return errors.show(err)
    end
    local text = ("Removed %s from the index (%d documents)."):format(report.path, report.documents)
    errors.notify(report.notice and text .. " " .. report.notice or text)
  end)
end

--- Cancels running answers and indexing.
---@return integer count The number of cancelled calls.
function M.stop()
  local calls = require("allma.client").calls()
  for _, call in ipairs(calls) do
    call.cancel()
  end
  return #calls
end

--- Allma's state for a status line; empty while the server does not run.
---@return string
function M.status()
  return require("allma.statusline").text()
end

return M
