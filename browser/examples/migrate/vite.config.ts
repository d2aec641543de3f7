import { defineConfig } from "vite";

export default defineConfig({ server: { proxy: { "/auth/": { target: "http://localhost:8080" } } } });
