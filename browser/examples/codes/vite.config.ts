import { defineConfig } from "vite";

export default defineConfig({
  oxc: { jsx: { runtime: "automatic" } },
  server: { proxy: { "/coded/": { target: "http://localhost:8080" } } },
});
