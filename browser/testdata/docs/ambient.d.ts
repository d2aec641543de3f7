// What the code in the docs has of the reader's app.
declare module "vite" {
  export function defineConfig(config: { server: { proxy: Record<string, { target: string; rewrite?: (path: string) => string }> } }): object;
}
declare module "*.vue" {
  const component: import("vue").Component;
  export default component;
}
declare const username: string;
declare const password: string;
declare function showSignIn(reason: string): void;
