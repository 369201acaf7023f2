// What both clients do: node sdkN.mjs FILE_OF_SERVERS '[["server", "tool", {arguments}], ...]'
import { readFileSync } from "node:fs";

export async function turn(client, Transport) {
  const [file, steps] = process.argv.slice(2);
  const { mcpServers } = JSON.parse(readFileSync(file, "utf8"));
  const open = {};
  for (const [name, { command, args, env }] of Object.entries(mcpServers)) {
    open[name] = client({ name: "turn", version: "1" });
    await open[name].connect(new Transport({ command, args, env, cwd: process.cwd() }));
    await open[name].listTools();
  }
  for (const [server, name, given] of JSON.parse(steps)) {
    const { content, isError } = await open[server].callTool({ name, arguments: given });
    const text = content.map((part) => part.text ?? "").join("\n");
    console.log(JSON.stringify(isError ? "Error: " + text : text));
  }
  for (const one of Object.values(open)) await one.close();
}
