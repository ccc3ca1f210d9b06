// What most clients are made of, the TypeScript SDK, over stdio: prints one JSON object.
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";

const [command, settings] = process.argv.slice(2);
const client = new Client({ name: "sdk", version: "0" });
await client.connect(new StdioClientTransport({ command, args: ["mcp"], env: JSON.parse(settings) }));

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
