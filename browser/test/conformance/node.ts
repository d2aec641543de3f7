// A process of Node.js that plays scenarios: it reads commands from its standard input,
// one a line, and answers on its standard output. Node.js has no IndexedDB, and this
// version perhaps no Web Locks: the host gives it some that work within the process.

import "fake-indexeddb/auto";
import { createInterface } from "node:readline";
import { type Client, createClient, installClock, setClock, signedIn } from "./client.js";

installClock();

const held: Record<string, Promise<unknown>> = {};

function request(name: string, options: { signal?: AbortSignal; steal?: boolean }, work: () => Promise<unknown>) {
  const before = options.steal ? undefined : held[name];
  const begun = Promise.resolve(before).catch(() => {}).then(work);
  held[name] = begun;
  return begun;
}

if (!globalThis.navigator?.locks) {
  Object.defineProperty(globalThis, "navigator", { value: { locks: { request, query: async () => ({ held: [] }) } }, configurable: true });
}

const clients: Record<string, Client> = {};

const commands: Record<string, (client: string, ...args: any[]) => unknown> = {
  open(name, settings) {
    setClock(settings.now);
    clients[name] = createClient(settings);
  },
  setClock: (_, time) => setClock(time),
  signedIn: (_, key) => signedIn(key),
};

createInterface({ input: process.stdin }).on("line", async (line) => {
  const { id, client, call, args } = JSON.parse(line);
  try {
    const command = commands[call];
    const value = await (command ? command(client, ...args) : (clients[client] as any)[call](...args));
    console.log(JSON.stringify({ id, value: value === undefined ? null : value }));
  } catch (error) {
    console.log(JSON.stringify({ id, error: String(error) }));
  }
});
