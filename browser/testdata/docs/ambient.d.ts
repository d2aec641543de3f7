// What the code in the docs has of the reader's app and of packages that are not installed.

declare module "*.vue" {
  import type { DefineComponent } from "vue";
  const component: DefineComponent;
  export default component;
}

// src/message.ts, of docs/browser-errors.md
declare module "*/message" {
  export function messageOf(error: unknown): string | undefined;
}

declare module "element-plus" {
  export const ElUpload: import("vue").Component;
}
