// A client of the MCP TypeScript SDK 1.x: the servers of a file, then the calls, each answer as one JSON line.
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { turn } from "./turn.mjs";

await turn((info) => new Client(info, { capabilities: {} }), StdioClientTransport);
