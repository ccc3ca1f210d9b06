// What most clients are made of, the TypeScript SDK, over stdio or HTTP: prints one JSON object.
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";

// A command and its environment, or an address and its headers.
const [at, given] = [process.argv[2], JSON.parse(process.argv[3])];
const client = new Client({ name: "sdk", version: "0" });
await client.connect(
  at.startsWith("http:")
    ? new StreamableHTTPClientTransport(new URL(at), { requestInit: { headers: given } })
    : new StdioClientTransport({ command: at, args: ["mcp"], env: given }),
);

const progress = [];
const onprogress = (note) => progress.push(note.progress);
const call = async (name, args) =>
  (await client.callTool({ name, arguments: args }, undefined, { onprogress })).structuredContent;

const { tools } = await client.listTools();
const indexed = await call("index", { action: "add", path: `${process.cwd()}/docs` });
const search = await call("search", { query: "zebras", top_k: 1 });
const { contents } = await client.readResource({
  uri: `allma://document/${search.passages[0].document_id}`,
});
console.log(
  JSON.stringify({
    server: client.getServerVersion(),
    capabilities: Object.keys(client.getServerCapabilities()),
    tools: tools.map((tool) => tool.name),
    indexed,
    search,
    progress,
    document: contents[0].text,
  }),
);
await client.close();
