import { createPinia, defineStore } from "pinia";
import { createApp, defineComponent, h, nextTick, ref } from "vue";
import { createMemoryHistory, createRouter } from "vue-router";
import { guard, onUserChange, resetOnUserChange, returnPath, tandem, useAuth } from "../../src/vue.js";
import { equal, ok, open, password, type Story } from "./world.js";

export const stories: Record<string, Story> = {
  async "Vue: a component shows who is signed in, and stores start anew for the next user"(world) {
    const auth = await open(world);
    const changes: string[] = [];
    const useCart = defineStore("cart", { state: () => ({ items: [] as string[], coupon: undefined as string | undefined }) });
    const useTheme = defineStore("theme", { state: () => ({ dark: false }) });
    const useNotes = defineStore("notes", () => {
      const { username } = useAuth(); // in a store
      return { username, notes: ref<string[]>([]) };
    });
    const pinia = createPinia().use(resetOnUserChange(auth, { except: ["theme"] }));
    const app = createApp(defineComponent({
      setup() {
        const { state, isSignedIn, username } = useAuth();
        onUserChange(({ previous, username }) => changes.push(`${previous} -> ${username}`));
        return () => h("p", isSignedIn.value ? username.value : "signed out, " + state.value.endedReason);
      },
    }));
    app.use(pinia).use(tandem(auth));
    const element = document.createElement("div");
    app.mount(element);
    const [cart, theme, notes] = app.runWithContext(() => [useCart(), useTheme(), useNotes()]);
    cart.items.push("a book of ann's");
    cart.coupon = "ann's";
    theme.dark = true;
    notes.notes.push("a note of ann's");
    equal([element.textContent, notes.username], ["ann", "ann"], "the user");

    const isChanged = new Promise((resolve) => auth.on("userChanged", resolve));
    await auth.signIn({ username: "bob", password });
    await isChanged;
    await nextTick();
    equal([element.textContent, notes.username], ["bob", "bob"], "the next user");
    equal(changes, ["ann -> bob"], "what the component is told");
    equal([cart.items, cart.coupon, notes.notes, theme.dark], [[], undefined, [], true], "the stores");

    const isOut = new Promise((resolve) => auth.on("signedOut", resolve));
    await auth.signOut();
    await isOut;
    await nextTick();
    ok(element.textContent!.startsWith("signed out"), element.textContent!);
    app.unmount();
    await auth.signIn({ username: "ann", password });
    equal(changes.length, 1, "what a component that is gone is told");
  },

  async "Vue Router: a protected page leads to the sign-in and back"(world) {
    const auth = await open(world);
    const component = { render: () => null };
    const router = createRouter({
      history: createMemoryHistory(),
      routes: [
        { path: "/", component },
        { path: "/login", component },
        { path: "/orders/:id", component, meta: { requiresAuth: true } },
      ],
    });
    router.beforeEach(guard(auth));
    await router.push("/orders/1?tab=2#items");
    equal(router.currentRoute.value.path, "/orders/1", "the page of a user who is signed in");
    await auth.signOut();
    await router.push("/");
    equal(router.currentRoute.value.path, "/", "a page for everybody");
    await router.push("/orders/1?tab=2#items");
    equal(router.currentRoute.value.path, "/login", "the page of a user who is signed out");
    await auth.signIn({ username: "ann", password });
    await router.push(returnPath(router.currentRoute.value));
    equal(router.currentRoute.value.fullPath, "/orders/1?tab=2#items", "the page after the sign-in");
  },

  async "Vue Router: the way back leads to no other site"() {
    const fallback = "/home";
    for (const redirect of [
      "//evil.example", "/\\evil.example", "\\\\evil.example", "/\t/evil.example", "/\n/evil.example", " //evil.example",
      "https:evil.example", "https://evil.example", "javascript:alert(1)", "/..//evil.example", "/.//evil.example",
      "/%2e%2e//evil.example", "//evil.example:x", "evil", "", undefined, null, ["/orders", "//evil.example"], { toString: () => "//evil.example" },
    ]) {
      equal(returnPath({ query: { redirect } }, fallback), fallback, JSON.stringify(redirect));
    }
    for (const redirect of ["/", "/orders", "/orders/1?next=//a&b=/\\c#//d", "/%E8%AE%A2%E5%8D%95", "/a//b"]) {
      equal(returnPath({ query: { redirect } }, fallback), redirect, redirect);
    }
  },
};
