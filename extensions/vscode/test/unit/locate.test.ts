import { describe, expect, test } from "vitest";
import { type LocateOptions, locate } from "../../src/locate";

function options(files: string[], changes: Partial<LocateOptions> = {}): LocateOptions {
  return {
    setting: "",
    environments: [],
    PATH: "/usr/bin:/opt/bin",
    home: "/home/ada",
    workspaceFolder: "/work/harbor",
    platform: "linux",
    isFile: (path) => files.includes(path),
    ...changes,
  };
}

describe("the server's program", () => {
  test("is the one in the setting, even if others exist", () => {
    const found = locate(
      options(["/x/allma-server", "/usr/bin/allma-server"], { setting: "/x/allma-server" }),
    );
    expect(found).toEqual({ command: "/x/allma-server", from: "setting" });
  });

  test("is not replaced by another when the setting is wrong", () => {
    expect(
      locate(options(["/usr/bin/allma-server"], { setting: "/gone/allma-server" })),
    ).toBeNull();
  });

  test.each([
    ["~/bin/allma-server", "/home/ada/bin/allma-server"],
    // biome-ignore lint/suspicious/noTemplateCurlyInString: the placeholder that users write in settings
    ["${workspaceFolder}/.tools/allma-server", "/work/harbor/.tools/allma-server"],
    ["allma-next", "/opt/bin/allma-next"],
  ])("may be written as %s", (setting, command) => {
    expect(locate(options([command], { setting }))).toEqual({ command, from: "setting" });
  });

  test.each(["/venv/bin/python", "/venv"])("comes from the environment %s before the PATH", (e) => {
    const files = ["/venv/bin/allma-server", "/usr/bin/allma-server"];
    expect(locate(options(files, { environments: [e] }))).toEqual({
      command: "/venv/bin/allma-server",
      from: "environment",
    });
  });

  test("is found in the folder of pipx, although editors have a short PATH", () => {
    const command = "/home/ada/.local/bin/allma-server";
    expect(locate(options([command]))).toEqual({ command, from: "path" });
  });

  test("is an .exe in Scripts on Windows", () => {
    const command = "C:\\venv\\Scripts\\allma-server.exe";
    const found = locate(
      options([command], { platform: "win32", environments: ["C:\\venv"], PATH: "C:\\Windows" }),
    );
    expect(found).toEqual({ command, from: "environment" });
  });

  test("is not found elsewhere, and never in the current folder", () => {
    expect(locate(options(["allma-server"], { PATH: ".:/usr/bin" }))).toBeNull();
  });
});
