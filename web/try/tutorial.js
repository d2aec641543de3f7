// The client in the second lane: the code of the tutorials, line by line, with fetch in
// place of axios. Its faults are on purpose: they are what the page shows.

const accessKey = "access_token";
const refreshKey = "refresh_token";
const userKey = "username";

export function createTutorialClient({ fetch, device, onForcedOut }) {
  const listeners = new Set();
  let refreshPromise = null;
  let expiresAt;

  const changed = () => listeners.forEach((listener) => listener());

  function setTokens(accessToken, refreshToken) {
    localStorage.setItem(accessKey, accessToken);
    localStorage.setItem(refreshKey, refreshToken);
  }

  function clearTokens() {
    for (const key of [accessKey, refreshKey, userKey]) localStorage.removeItem(key);
    expiresAt = undefined;
  }

  // post is axios.post: an answer that is not JSON becomes a text, not an error.
  async function post(path, body) {
    const response = await fetch(path, {
      method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body), credentials: "omit",
    });
    const text = await response.text();
    if (!response.ok) throw Object.assign(new Error(`status ${response.status}`), { status: response.status });
    try {
      return JSON.parse(text);
    } catch {
      return text;
    }
  }

  async function request(path, isRetry = false) {
    const token = localStorage.getItem(accessKey);
    const response = await fetch(path, { headers: token ? { Authorization: `Bearer ${token}` } : {} });
    if (response.status !== 401 || isRetry) return response;
    try {
      if (!refreshPromise) {
        refreshPromise = post("/auth/refresh-token", { refreshToken: localStorage.getItem(refreshKey) });
      }
      const { accessToken, refreshToken, expiresIn } = await refreshPromise;
      setTokens(accessToken, refreshToken);
      refreshPromise = null;
      expiresAt = Date.now() + expiresIn * 1000;
      changed();
      return request(path, true);
    } catch (error) {
      const wasIn = localStorage.getItem(refreshKey) !== null;
      clearTokens();
      refreshPromise = null;
      changed();
      if (wasIn) onForcedOut(); // window.location.href = "/login"
      throw error;
    }
  }

  async function signIn(username, password) {
    const data = await post("/auth/login", { username, password, device });
    setTokens(data.accessToken, data.refreshToken);
    localStorage.setItem(userKey, username);
    expiresAt = Date.now() + data.expiresIn * 1000;
    changed();
  }

  return {
    fetch: request,
    onChange: (listener) => listeners.add(listener),
    isSignedIn: () => localStorage.getItem(refreshKey) !== null,
    username: () => localStorage.getItem(userKey),
    expiresAt: () => expiresAt,
    signIn,
    signOut() {
      clearTokens();
      changed();
    },
    outcomeOf: () => "failed",
    tokens: async () => ({ accessToken: localStorage.getItem(accessKey), refreshToken: localStorage.getItem(refreshKey) }),
    signInElsewhere: signIn, // another tab writes the same localStorage
  };
}
