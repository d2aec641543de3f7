import { fetchEventSource } from "@microsoft/fetch-event-source";
import { equal, expire, open, type Story } from "./world.js";

export const stories: Record<string, Story> = {
  async "fetch-event-source, of an app whose isRefused reads bodies"(world) {
    const auth = await open(world, { isRefused: async (answer) => (await answer.json()).code === 401 });
    await expire(world);
    const controller = new AbortController();
    const messages: string[] = [];
    await fetchEventSource(world.url + "/api/events", {
      fetch: auth.fetch,
      signal: controller.signal,
      openWhenHidden: true,
      onmessage({ data }) {
        messages.push(data);
        if (messages.length === 2) controller.abort();
      },
      onerror(error) {
        throw error;
      },
    });
    equal(messages, ["0", "1"], "the messages");
  },
};
