// A page that tells the stories, one at a time.

import { stories as axiosStories } from "./axios.js";
import { stories as eventStories } from "./events.js";
import { stories as fits } from "./fits.js";
import { stories as reactStories } from "./react.js";
import { stories as uploadStories } from "./upload.js";
import { stories as vueStories } from "./vue.js";
import type { World } from "./world.js";

const stories = { ...axiosStories, ...fits, ...eventStories, ...uploadStories, ...vueStories, ...reactStories };

(window as any).stories = {
  names: Object.keys(stories),
  // run returns "" or what has gone wrong.
  run: (name: string, world: World) => stories[name](world).then(() => "", (error) => String(error && error.stack || error)),
};
