--- What a question is restricted to: pinned files and folders, and those it mentions with `@`.
local M = {}

---@param name string
---@return string
function M.absolute(name)
  return (vim.fs.normalize(vim.fn.fnamemodify(name, ":p")):gsub("(.)/$", "%1"))
end

---@param name string
---@return string? path Nil if there is no such file or folder.
local function existing(name)
  local path = M.absolute(name)
  return vim.uv.fs_stat(path) and path or nil
end

--- The files and folders that a question mentions, and the names of those that do not exist.
---@param question string
---@return string[] paths
---@return string[] missing
function M.mentioned(question)
  local paths, missing = {}, {}
  for name in question:gmatch("%f[%S]@(%S+)") do
    local path = existing(name) or existing((name:gsub("[%p]+$", "")))
    if path then
      table.insert(paths, path)
    elseif name:find("/", 1, true) or name:find("%.%a") then
      table.insert(missing, name)
    end
  end
  return paths, missing
end

--- The parameters that restrict a request to files and folders.
---@param paths string[]
---@return { workspace?: string, path?: string }
function M.params(paths)
  if #paths < 2 then
    return { workspace = paths[1] }
  end
  -- In a list of patterns, commas and braces of a name are matched as any character.
  local patterns = vim.tbl_map(function(path)
    return (path:gsub("[,{}]", "?"))
  end, paths)
  return { workspace = "all", path = table.concat(patterns, ", ") }
end

--- The files of open buffers inside the current folder whose path contains a part.
---@param part string
---@return string[]
local function open_files(part)
  return vim
    .iter(vim.api.nvim_list_bufs())
    :filter(function(buf)
      return vim.bo[buf].buflisted and vim.bo[buf].buftype == ""
    end)
    :map(function(buf)
      return vim.fn.fnamemodify(vim.api.nvim_buf_get_name(buf), ":.")
    end)
    :filter(function(name)
      return name ~= "" and not vim.startswith(name, "/") and name:find(part, 1, true) ~= nil
    end)
    :totable()
end

--- Completes the `@name` before the cursor ('omnifunc'): paths, and parts of names of open files.
---@param findstart 0|1
---@param base string
---@return integer|string[]
function M.complete(findstart, base)
  if findstart == 1 then
    local before = vim.api.nvim_get_current_line():sub(1, vim.fn.col(".") - 1)
    local start = before:find("@%S*$")
    return start and start - 1 or -3
  end
  local part = base:gsub("^@", "")
  local names = vim.fn.getcompletion(part, "file")
  for _, name in ipairs(open_files(part)) do
    if not vim.list_contains(names, name) then
      table.insert(names, name)
    end
  end
  return vim.tbl_map(function(name)
    return "@" .. name
  end, names)
end

return M
