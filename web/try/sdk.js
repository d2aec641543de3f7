// The client in the first lane: the SDK, as any app uses it. /sdk/tandem.js has set the
// global tandem.

const { createAuth, isEnded, isTemporary, isUserChanged } = globalThis.tandem;

export function createSDKClient({ fetch, device }) {
  const auth = createAuth({ fetch });
  return {
    fetch: auth.fetch,
    on: auth.on,
    onChange: auth.subscribe,
    ready: auth.ready,
    isSignedIn: () => auth.state.status === "signedIn",
    username: () => auth.state.username,
    expiresAt: () => auth.state.expiresAt,
    signIn: (username, password) => auth.signIn({ username, password, device }),
    signOut: auth.signOut,
    signOutEverywhere: auth.signOutEverywhere,
    outcomeOf: (error) => (isUserChanged(error) ? "stopped" : isEnded(error) ? "ended" : isTemporary(error) ? "temporary" : "failed"),

    // tokens returns what the SDK keeps in this browser: any script of the page can read
    // it. (In cookie mode, none can.)
    tokens: () => new Promise((resolve, reject) => {
      const opening = indexedDB.open("tandem");
      opening.onerror = () => reject(opening.error);
      opening.onsuccess = () => {
        const reading = opening.result.transaction("kept").objectStore("kept").get(0);
        reading.onsuccess = () => {
          opening.result.close();
          resolve(reading.result?.pair ?? {});
        };
      };
    }),

    // signInElsewhere signs another user in, as another tab does.
    async signInElsewhere(username, password) {
      const tab = createAuth();
      await tab.signIn({ username, password, device });
      tab.dispose();
    },
  };
}
