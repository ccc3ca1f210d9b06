local errors = require("allma.errors")
local steps = require("allma.steps")

describe("the next step", function()
  it("is a different command for each reason of an empty result", function()
    local seen = { [steps.nothing_found] = true }
    for _, code in ipairs({
      "indexing",
      "nothing_indexed",
      "no_match_for_path",
      "embedder_unavailable",
    }) do
      local text = steps.append_to("Why.", code)
      assert.truthy(vim.startswith(text, "Why. :"), text)
      assert.is_nil(seen[text])
      seen[text] = true
    end
  end)

  it("is the check of everything when keyword search is down", function()
    assert.equal(":checkhealth allma shows the cause.", steps.for_code("full_text_down"))
  end)

  it("is shown alone if there is no sentence", function()
    assert.equal(":Allma status shows the progress.", steps.append_to(nil, "indexing"))
  end)

  it("is omitted for a missing code, and for an unknown one", function()
    assert.equal("The reranker was too slow.", steps.append_to("The reranker was too slow.", nil))
    assert.equal("Why.", steps.append_to("Why.", "unknown_code"))
  end)

  it("follows the message and the hint of a failure", function()
    assert.equal(
      "m ended without saying anything. Ask again. :Allma models selects another model.",
      errors.text({
        code = "empty_answer",
        message = "m ended without saying anything.",
        hint = "Ask again.",
      })
    )
    assert.equal("Stopped.", errors.text(errors.cancelled))
  end)

  it("names existing commands", function()
    local names = require("allma.commands").names
    for _, code in ipairs({ "indexing", "nothing_indexed", "no_match_for_path", "empty_answer" }) do
      local name = assert(steps.for_code(code):match("^:Allma (%S+)"))
      assert.truthy(vim.list_contains(names, name), name)
    end
  end)
end)
