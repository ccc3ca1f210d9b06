// Without a server, a message with a button explains how to install it.
import { Workbench } from "./workbench.mjs";

export async function missingTests(vsix) {
  const title = "a missing server is reported, with instructions to install it";
  const workbench = await Workbench.open({
    vsix,
    settings: { "allma.server.path": "/nowhere/allma-server" },
  });
  const { page, chat } = workbench;
  try {
    await workbench.status("Allma: not installed");
    await page.getByText("Allma's server was not found.").first().waitFor();
    await workbench.command("Allma: Ask a Question");
    await chat.getByText("Allma's server was not found on this machine.").waitFor();
    await workbench.screenshot("missing");
    await chat.getByRole("button", { name: "How to install it" }).click();
    await page.locator(".tab.active", { hasText: "Installing the server" }).waitFor();
    await page.getByRole("button", { name: "Install in Terminal" }).waitFor();
    await workbench.screenshot("install");
    return [`ok ${title}`];
  } catch (error) {
    await workbench.screenshot("missing-failed");
    return [`not ok ${title}\n${error.stack}`];
  } finally {
    await workbench.close();
  }
}
