// A client of the MCP TypeScript SDK 2.x: the servers of a file, then the calls, each answer as one JSON line.
import { Client } from "@modelcontextprotocol/client";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";
import { turn } from "./turn.mjs";

await turn((info) => new Client(info, { capabilities: {} }), StdioClientTransport);
