local errors = require("allma.errors")
local steps = require("allma.steps")

describe("what helps", function()
  it("is another command for each reason of an empty list", function()
    local seen = { [steps.nothing_found] = true }
    for _, code in ipairs({
      "indexing",
      "nothing_indexed",
      "no_match_for_path",
      "embedder_unavailable",
    }) do
      local told = steps.told("Why.", code)
      assert.truthy(vim.startswith(told, "Why. :"), told)
      assert.is_nil(seen[told])
      seen[told] = true
    end
  end)

  it("stands alone where the sentence was said already", function()
    assert.equal(":Allma status tells how far it is.", steps.told(nil, "indexing"))
  end)

  it("is not there for a limit without a code, nor for one of a newer server", function()
    assert.equal("The reranker was too slow.", steps.told("The reranker was too slow.", nil))
    assert.equal("Why.", steps.told("Why.", "not_known_here"))
  end)

  it("stands behind the message and the hint of a failure", function()
    assert.equal(
      "m ended without saying anything. Ask again. :Allma models chooses another model.",
      errors.text({
        code = "empty_answer",
        message = "m ended without saying anything.",
        hint = "Ask again.",
      })
    )
    assert.equal("Stopped.", errors.text(errors.cancelled))
  end)

  it("names commands that there are", function()
    local names = require("allma.commands").names
    for _, code in ipairs({ "indexing", "nothing_indexed", "no_match_for_path", "empty_answer" }) do
      local name = assert(steps.after(code):match("^:Allma (%S+)"))
      assert.truthy(vim.list_contains(names, name), name)
    end
  end)
end)
