/** The indexed folders, their files with state and reason, and what changes them. */
import { ago } from "../chat/ago";
import { isActive } from "../chat/engine";
import { basename } from "../chat/messages";
import { reportText } from "../chat/report";
import { Latest } from "../latest";
import type { DocumentRow, DocumentState, IngestReport, Job, WorkspaceStatus } from "../protocol";
import { codicon, h, iconButton, withCode } from "../view/dom";
import { confirmed, entered, toast } from "./dialogs";
import { type Server, sentence } from "./http";
import type { Monitor } from "./monitor";
import type { Location } from "./reader";
import { dropTarget, upload } from "./uploading";

const PAGE = 100;

type Filter = DocumentState | "all";

const STATES: Record<DocumentState, { label: string; icon: string }> = {
  indexed: { label: "Indexed", icon: "pass" },
  skipped: { label: "Skipped", icon: "circle-slash" },
  failed: { label: "Failed", icon: "error" },
};

export interface Actions {
  openSource(at: Location): void;
  askAbout(path: string): void;
}

export class DocumentsPane {
  readonly element = h("section", { class: "pane", "aria-label": "Documents" });
  private readonly jobs = h("div", { class: "jobs" });
  private readonly folders = h("ul", { class: "folders", "aria-label": "Folders" });
  private readonly filters = h("div", { class: "filters", role: "group", "aria-label": "State" });
  private readonly rows = h("ul", { class: "files", "aria-label": "Files" });
  private readonly more = h("div", { class: "more" });
  private readonly add = h("div", { class: "tools" });
  private readonly loads = new Latest();
  private filter: Filter = "all";
  private workspace: string | null = null;
  private limit = PAGE;
  private seen = "";

  constructor(
    private readonly server: Server,
    private readonly monitor: Monitor,
    private readonly actions: Actions,
  ) {
    this.element.append(
      h("header", {}, h("h1", {}, "Documents"), this.add),
      h("div", { class: "pane-body" }, this.jobs, this.folders, this.filters, this.rows, this.more),
    );
    monitor.onChange(() => this.refresh());
    dropTarget(this.element, (files) => void this.upload(files));
  }

  open(): void {
    this.seen = "";
    this.refresh();
  }

  private get workspaces(): WorkspaceStatus[] {
    return this.monitor.status?.workspaces ?? [];
  }

  private refresh(): void {
    if (this.element.hidden) return;
    this.showJobs();
    const key = JSON.stringify([this.workspaces, this.filter, this.workspace, this.monitor.me]);
    if (key === this.seen) return;
    this.seen = key;
    this.showTools();
    this.showFolders();
    this.showFilters();
    void this.load();
  }

  private showTools(): void {
    const mayIndex = this.monitor.may("index");
    this.add.replaceChildren(
      ...(mayIndex && this.workspaces.length
        ? [labelled("cloud-upload", "Upload", () => this.pickFiles())]
        : []),
      ...(mayIndex && this.monitor.me?.workspaces === null
        ? [labelled("new-folder", "Add folder", () => void this.addFolder())]
        : []),
    );
  }

  private showJobs(): void {
    const jobs = (this.monitor.status?.jobs ?? []).filter(isActive);
    this.jobs.replaceChildren(...jobs.map((job) => this.job(job)));
  }

  private job(job: Job): HTMLElement {
    const stop = async () => {
      await this.reported(this.server.call("jobs.cancel", { jobId: job.id }));
      await this.monitor.refresh();
    };
    const value: Record<string, string> =
      job.total === null ? {} : { value: String(job.done), max: String(job.total) };
    const count = job.total === null ? `${job.done}` : `${job.done} of ${job.total}`;
    const what = job.kind === "ingest" ? `Indexing ${basename(job.path)}` : job.message || job.kind;
    return h(
      "div",
      { class: "job" },
      h("span", {}, `${what}: ${count}`),
      h("progress", { ...value, "aria-label": what }),
      this.monitor.may("index") && iconButton("close", `Stop: ${what}`, () => void stop()),
    );
  }

  private showFolders(): void {
    const { workspaces } = this;
    if (!workspaces.some(({ path }) => path === this.workspace)) this.workspace = null;
    this.folders.replaceChildren(...workspaces.map((each) => this.folder(each)));
    if (workspaces.length) return;
    const how = this.monitor.may("index")
      ? "Add a folder, or run `allma index DIR` in a terminal."
      : "Ask an administrator to index a folder.";
    this.folders.append(h("li", { class: "soft" }, ...withCode(`No documents indexed. ${how}`)));
  }

  private folder(status: WorkspaceStatus): HTMLElement {
    const { path } = status;
    const isSelected = this.workspace === path;
    const counts = [
      `${status.documents.toLocaleString("en")} indexed`,
      status.pending > 0 && `${status.pending.toLocaleString("en")} pending`,
      status.skipped > 0 && `${status.skipped.toLocaleString("en")} skipped`,
      status.failed > 0 && `${status.failed.toLocaleString("en")} failed`,
    ];
    const select = () => {
      this.workspace = isSelected ? null : path;
      this.limit = PAGE;
      this.refresh();
    };
    const name = basename(path);
    const about = status.reason ?? status.notice;
    return h(
      "li",
      { class: isSelected ? "folder selected" : "folder" },
      h(
        "button",
        {
          type: "button",
          class: "choose",
          "aria-pressed": String(isSelected),
          title: path,
          click: select,
        },
        codicon("folder"),
        h("span", { class: "name" }, name),
        h("span", { class: "soft" }, counts.filter(Boolean).join(", ")),
        about !== null && h("span", { class: "soft about" }, about),
      ),
      iconButton("comment-discussion", `Ask about ${name}`, () => this.actions.askAbout(path)),
      this.monitor.may("index") &&
        iconButton("refresh", `Update ${name} from the disk`, () => void this.sync(path)),
      this.monitor.may("remove") &&
        iconButton("trash", `Remove ${name} from the index`, () => void this.forget(path)),
    );
  }

  private showFilters(): void {
    const folders = this.workspaces.filter(({ path }) => path === (this.workspace ?? path));
    const sum = (key: "documents" | "skipped" | "failed") =>
      folders.reduce((total, folder) => total + folder[key], 0);
    const counts = { indexed: sum("documents"), skipped: sum("skipped"), failed: sum("failed") };
    const all = counts.indexed + counts.skipped + counts.failed;
    const button = (filter: Filter, label: string, count: number) =>
      h(
        "button",
        {
          type: "button",
          class: "filter",
          "aria-pressed": String(this.filter === filter),
          click: () => {
            this.filter = filter;
            this.limit = PAGE;
            this.refresh();
          },
        },
        `${label} ${count.toLocaleString("en")}`,
      );
    this.filters.replaceChildren(
      button("all", "All", all),
      ...(["indexed", "skipped", "failed"] as const).map((state) =>
        button(state, STATES[state].label, counts[state]),
      ),
    );
    this.filters.hidden = all === 0;
  }

  private async load(): Promise<void> {
    const isLatest = this.loads.begin();
    const state = this.filter === "all" ? undefined : this.filter;
    const workspace = this.workspace ?? undefined;
    const params = { workspace, state, limit: Math.min(1000, this.limit) };
    const page = await this.reported(this.server.call("documents", params));
    if (!page || !isLatest()) return;
    this.rows.replaceChildren(...page.documents.map((row) => this.file(row)));
    const left = page.total - page.documents.length;
    const load = () => {
      this.limit += PAGE * 2;
      void this.load();
    };
    const label = `Show more of ${left.toLocaleString("en")}`;
    const more = h("button", { type: "button", class: "link", click: load }, label);
    this.more.replaceChildren(...(left > 0 && this.limit < 1000 ? [more] : []));
  }

  private file(row: DocumentRow): HTMLElement {
    const { label, icon } = STATES[row.state];
    const relative = row.path.slice(row.workspace.length + 1);
    const folder = relative.slice(0, relative.length - basename(row.path).length);
    const facts = row.reason ?? `${count(row.chunks, "passage")} · ${ago(row.indexedAt)}`;
    const open = () => this.actions.openSource(whole(row));
    return h(
      "li",
      { class: `document ${row.state}` },
      h("span", {
        class: `state codicon codicon-${icon}`,
        role: "img",
        "aria-label": label,
        title: label,
      }),
      row.state === "indexed"
        ? h(
            "button",
            { type: "button", class: "link name", title: row.path, click: open },
            basename(row.path),
          )
        : h("span", { class: "name", title: row.path }, basename(row.path)),
      h("span", { class: "soft folder-name" }, folder),
      h("span", { class: "soft facts" }, facts),
      row.state === "indexed" &&
        iconButton("comment-discussion", `Ask about ${basename(row.path)}`, () =>
          this.actions.askAbout(row.path),
        ),
      row.state !== "indexed" &&
        this.monitor.may("index") &&
        iconButton("refresh", `Try ${basename(row.path)} again`, () => void this.retry(row.path)),
      this.monitor.may("remove") &&
        iconButton(
          "trash",
          `Remove ${basename(row.path)} from the index`,
          () => void this.forget(row.path),
        ),
    );
  }

  private pickFiles(): void {
    const input = h("input", { type: "file", multiple: true });
    input.addEventListener("change", () => void this.upload([...(input.files ?? [])]));
    input.click();
  }

  private async upload(files: readonly File[]): Promise<void> {
    if (!this.monitor.may("index")) return toast("You may not add files here.");
    const folders = this.workspaces.map(({ path }) => path);
    await upload(this.server, folders, this.workspace, files);
    await this.monitor.refresh();
  }

  private async addFolder(): Promise<void> {
    const label = "Path of the folder on the machine that Allma runs on";
    const path = await entered("Index a folder", { label, action: "Index" });
    if (path === null) return;
    const began = this.reported(this.server.call("ingest", { paths: [path], waitSeconds: 1 }));
    this.tell(await began);
  }

  private async sync(path: string): Promise<void> {
    this.tell(await this.reported(this.server.call("sync", { path })));
  }

  private async retry(path: string): Promise<void> {
    this.tell(await this.reported(this.server.call("ingest", { paths: [path] })));
  }

  private async forget(path: string): Promise<void> {
    const detail = "The file on disk is not changed.";
    if (!(await confirmed(`Remove “${basename(path)}” from the index?`, detail, "Remove"))) return;
    const report = await this.reported(this.server.call("forget", { path }));
    if (report?.notice) toast(report.notice);
    this.seen = "";
    await this.monitor.refresh();
  }

  private tell(report: IngestReport | Job | undefined): void {
    if (!report) return;
    toast("state" in report ? "Indexing continues in the background." : reportText(report));
    this.seen = "";
    void this.monitor.refresh();
  }

  private async reported<T>(work: Promise<T>): Promise<T | undefined> {
    try {
      return await work;
    } catch (error) {
      toast(sentence(error));
      return undefined;
    }
  }
}

function count(number: number, noun: string): string {
  return `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;
}

function labelled(icon: string, label: string, click: () => void): HTMLElement {
  return h(
    "button",
    { type: "button", class: "secondary", "aria-label": label, title: label, click },
    codicon(icon),
    h("span", { class: "label" }, label),
  );
}

function whole({ path }: DocumentRow): Location {
  return { path, startLine: null, endLine: null, page: null, heading: "", text: "" };
}
