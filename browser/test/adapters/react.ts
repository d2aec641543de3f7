import { createElement as h } from "react";
import { createRoot, hydrateRoot } from "react-dom/client";
import { renderToString } from "react-dom/server";
import { AuthProvider, useAuth, useUserChange } from "../../src/react.js";
import { equal, open, password, type Story } from "./world.js";

const changes: string[] = [];
const note = ({ previous, username }: { previous: string; username: string }) => changes.push(`${previous} -> ${username}`);

function Name() {
  const { state, isSignedIn } = useAuth();
  useUserChange(note);
  return h("p", null, isSignedIn ? state.username : "nobody");
}

// shows waits until an element has a text.
function shows(element: Element, text: string): Promise<void> {
  return new Promise((resolve) => {
    const look = () => element.textContent === text && (observer.disconnect(), resolve());
    const observer = new MutationObserver(look);
    observer.observe(element, { childList: true, characterData: true, subtree: true });
    look();
  });
}

export const stories: Record<string, Story> = {
  async "React: a component shows who is signed in"(world) {
    const auth = await open(world);
    const element = document.createElement("div");
    const root = createRoot(element);
    root.render(h(AuthProvider, { auth }, h(Name)));
    await shows(element, "ann");
    await auth.signIn({ username: "bob", password });
    await shows(element, "bob");
    equal(changes, ["ann -> bob"], "what the component is told");
    await auth.signOut();
    await shows(element, "nobody");
    root.unmount();
  },

  async "React: a page from a server hydrates without a mismatch, and then shows the session"(world) {
    const auth = await open(world);
    const app = h(AuthProvider, { auth }, h(Name));
    const element = document.createElement("div");
    element.innerHTML = renderToString(app);
    equal(element.textContent, "nobody", "what the server renders");
    const errors: unknown[] = [];
    const root = hydrateRoot(element, app, { onRecoverableError: (error) => errors.push(error) });
    await shows(element, "ann");
    equal(errors, [], "mismatches");
    root.unmount();
  },
};
