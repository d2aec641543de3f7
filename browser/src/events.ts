// Listeners, and the problems that the app is told of.

import type { AuthEvents, Problem } from "./types.js";

export interface Events {
  problems_: Problem[];
  on_(event: string, listener: (detail: any) => unknown): () => void;
  // emit_ calls the listeners in a moment, when nothing is half done. The promise is
  // fulfilled when theirs have settled.
  emit_<E extends keyof AuthEvents>(event: E | "state", detail?: AuthEvents[E]): Promise<unknown>;
  // say_ tells of a problem, once.
  say_(code: Problem["code"], message: string): void;
}

export function createEvents(): Events {
  const listeners: Record<string, Set<(detail: any) => unknown>> = {};
  const problems: Problem[] = [];
  const emit: Events["emit_"] = (event, detail) => Promise.resolve().then(() =>
    Promise.all([...(listeners[event] || [])].map(async (listener) => {
      try {
        await listener(detail);
      } catch (error) {
        console.error(error);
      }
    })));
  return {
    problems_: problems,
    on_(event, listener) {
      const all = (listeners[event] = listeners[event] || new Set());
      const own = (detail: any) => listener(detail); // the same listener may be added twice
      all.add(own);
      return () => void all.delete(own);
    },
    emit_: emit,
    say_(code, message) {
      if (problems.some((problem) => problem.code === code)) return;
      problems.push({ code, message });
      emit("problem", { code, message });
    },
  };
}
