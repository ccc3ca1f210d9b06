// An untrusted workspace is not indexed; once it is trusted, it is.
import { Workbench } from "./workbench.mjs";

export async function trustTests(vsix) {
  const workbench = await Workbench.open({
    vsix,
    trust: true,
    settings: {
      "security.workspace.trust.enabled": true,
      "security.workspace.trust.startupPrompt": "never",
      "security.workspace.trust.banner": "never",
    },
  });
  const title = "an untrusted folder is not indexed until it is trusted";
  const { page, chat } = workbench;
  try {
    await workbench.openChat();
    await workbench.status("Ollama not running"); // the server runs and has returned its status
    await page.getByRole("button", { name: "Documents Section" }).click();
    await page.getByText("Indexing requires a trusted workspace").waitFor();
    await chat.getByLabel("Question", { exact: true }).waitFor();
    await workbench.screenshot("untrusted");
    await workbench.command("Workspaces: Manage Workspace Trust");
    await page.getByRole("button", { name: "Trust", exact: true }).click();
    const indexed = page.locator(".pane .monaco-list-row", { hasText: "5 indexed" });
    await indexed.first().waitFor({ timeout: 90_000 });
    return [`ok ${title}`];
  } catch (error) {
    await workbench.screenshot("trust-failed");
    return [`not ok ${title}\n${error.stack}`];
  } finally {
    await workbench.close();
  }
}
