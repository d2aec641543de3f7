// A tab of the browser that plays scenarios.

import { advance, type Client, createClient, installClock, type Settings, signedIn } from "./client.js";

installClock();

// Each tab has one client at a time.
(globalThis as any).suite = {
  client: undefined as Client | undefined,
  open(settings: Settings) {
    this.client = createClient(settings);
  },
  advance,
  signedIn,
};
