local client = require("allma.client")
local server = require("allma.server")
local errors = require("allma.errors")

---@param err? allma.Error
---@param done? allma.Done
local function report(err, done)
  if err then
    errors.show(err)
  elseif done then
    errors.notify(done.message)
  end
end

---@type table<string, fun(name: string)>
local actions = {}

function actions.use(name)
  client.request("models.use", { name = name }, report, { slot = "model" })
end

function actions.pull(name)
  client.request("models.pull", { name = name }, report, { title = "downloading " .. name })
end

function actions.delete(name)
  if vim.fn.confirm(("Delete the model %s from disk?"):format(name), "&Delete\n&Keep", 2) == 1 then
    client.request("models.delete", { name = name }, report)
  end
end

---@param model allma.ModelInfo
---@return boolean
local function can_chat(model)
  return #model.capabilities == 0 or vim.list_contains(model.capabilities, "completion")
end

---@param model allma.ModelInfo
---@return string
local function label(model)
  local facts = {}
  for _, fact in ipairs({ "parameters", "quantization" }) do
    table.insert(facts, model[fact])
  end
  if model.size then
    table.insert(facts, ("%.1f GB"):format(model.size / 1e9))
  end
  local text = (model.inUse and "* " or "  ") .. model.name
  return #facts > 0 and text .. "  (" .. table.concat(facts, ", ") .. ")" or text
end

local function choose()
  client.request("models.list", {}, function(err, list)
    if err then
      return errors.show(err)
    end
    local chat_models = vim.tbl_filter(can_chat, list.models)
    if #chat_models == 0 then
      return errors.notify("No chat models installed. :Allma models pull llama3.2 installs one.")
    end
    vim.ui.select(chat_models, {
      prompt = "Chat model",
      kind = "allma.model",
      format_item = label,
    }, function(chosen)
      if chosen then
        actions.use(chosen.name)
      end
    end)
  end, { slot = "menu" })
end

---@type allma.Command
return {
  impl = function(given)
    local action, name = actions[given.args[1]], given.args[2]
    if not given.args[1] then
      choose()
    elseif action and name then
      action(name)
    else
      errors.notify("Usage: :Allma models use|pull|delete NAME", vim.log.levels.ERROR)
    end
  end,
  complete = function(lead, words)
    local matching = require("allma.commands").matching
    if #words == 0 then
      return matching(lead, { "delete", "pull", "use" })
    elseif words[1] == "pull" or not server.running() then
      return {}
    end
    local _, list = client.request_sync("models.list", {}, 1)
    return matching(
      lead,
      vim.tbl_map(function(model)
        return model.name
      end, list and list.models or {})
    )
  end,
}
