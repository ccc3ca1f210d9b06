// VS Code's own MCP client starts the server that the extension registers, and finds its tools.
import { Workbench } from "./workbench.mjs";

export async function mcpTests(vsix) {
  const workbench = await Workbench.open({ vsix });
  const { page } = workbench;
  const pick = (text) => page.locator(".quick-input-list .monaco-list-row", { hasText: text });
  try {
    // The server is registered when the extension is activated.
    await workbench.status("Allma");
    const choose = async (what) => {
      await workbench.command("MCP: List Servers");
      await pick("Allma").first().click({ timeout: 5_000 });
      await pick(what).first().click({ timeout: 10_000 });
    };
    // While the editor starts, the list may lack the server, and a start may have no effect.
    for (let attempt = 0; ; attempt++) {
      try {
        await choose(/(Start|Restart) Server/);
        const told = page.locator(".view-line", { hasText: /Discovered\s[1-9]\d*\stools/ });
        await told.first().waitFor({ timeout: 30_000 });
        break;
      } catch (error) {
        if (attempt > 3) throw error;
        await page.keyboard.press("Escape");
      }
    }
    await workbench.screenshot("mcp");
    return ["ok the editor's MCP client discovers the tools"];
  } catch (error) {
    await workbench.screenshot("mcp-failed");
    return [`not ok the editor's MCP client discovers the tools\n${error.stack}`];
  } finally {
    await workbench.close();
  }
}
