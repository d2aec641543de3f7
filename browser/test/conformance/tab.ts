// A tab of the browser that plays scenarios.

import { type Client, createClient, installClock, setClock, type Settings, signedIn } from "./client.js";

installClock();

// Each tab has one client at a time.
(globalThis as any).suite = {
  client: undefined as Client | undefined,
  open(settings: Settings) {
    setClock(settings.now);
    this.client = createClient(settings);
  },
  setClock,
  signedIn,
};
