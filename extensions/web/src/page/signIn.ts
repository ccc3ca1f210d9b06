/** The dialog that signs in: with a token, or the code of `allma open`. */
import { codicon, h, withCode } from "../view/dom";
import { type Server, sentence } from "./http";

export class SignIn {
  private readonly problem = h("p", { class: "problem", role: "alert" });
  private readonly secret = h("input", {
    type: "password",
    id: "secret",
    autocomplete: "current-password",
    required: true,
  });
  private readonly title = h("h1", { id: "sign-in-title" });
  private readonly element: HTMLDialogElement;

  constructor(
    private readonly server: Server,
    private readonly done: () => void,
  ) {
    const form = h(
      "form",
      {
        submit: (event) => {
          event.preventDefault();
          void this.submit();
        },
      },
      codicon("library"),
      this.title,
      h("p", {}, "On the machine Allma runs on, run ", h("code", {}, "allma open"), "."),
      h("p", {}, h("label", { for: "secret" }, "Or enter the token an administrator gave you:")),
      h(
        "div",
        { class: "inline" },
        this.secret,
        h("button", { type: "submit", class: "primary" }, "Sign in"),
      ),
      this.problem,
    );
    this.element = h("dialog", { class: "sign-in", "aria-labelledby": "sign-in-title" }, form);
    // It cannot be closed without signing in.
    this.element.addEventListener("cancel", (event) => event.preventDefault());
    document.body.append(this.element);
  }

  /** Asks the user to sign in. `expired`: somebody was signed in before. What went wrong stays. */
  show({ expired, problem }: { expired: boolean; problem?: string }): void {
    this.title.textContent = expired
      ? "Your session has ended. Sign in again."
      : "Sign in to Allma";
    if (problem !== undefined || !this.element.open) this.tell(problem ?? "");
    if (!this.element.open) this.element.showModal();
  }

  /** Signs in with the code in the address, if there is one, and removes it from there. */
  async withCode(): Promise<boolean> {
    const code = /^#code=(.+)$/.exec(location.hash)?.[1];
    if (code === undefined) return false;
    history.replaceState(null, "", `${location.pathname}#/`);
    try {
      await this.server.signIn({ code: decodeURIComponent(code) });
    } catch (error) {
      this.show({ expired: false, problem: sentence(error) });
    }
    return true;
  }

  hide(): void {
    this.element.close();
  }

  private tell(problem: string): void {
    this.problem.replaceChildren(...withCode(problem));
  }

  private async submit(): Promise<void> {
    this.tell("");
    try {
      await this.server.signIn({ token: this.secret.value.trim() });
    } catch (error) {
      this.tell(sentence(error));
      return;
    }
    this.secret.value = "";
    this.element.close();
    this.done();
  }
}
