// A front end in the other manner that people know: while one request refreshes,
// the others wait in a list. API_URL is set by the bundler.
import axios from "axios";

const api = axios.create({ baseURL: API_URL, timeout: 10_000 });
const bare = axios.create({ baseURL: API_URL, timeout: 10_000 });

let refreshing = false;
let waiting = [];

api.interceptors.request.use((config) => {
  const token = localStorage.getItem("access_token");
  if (token) config.headers.Authorization = `Bearer ${token}`;
  return config;
});

api.interceptors.response.use(null, async (error) => {
  const { config, response } = error;
  if (response?.status !== 401 || config.retried) throw error;
  config.retried = true;
  if (refreshing) {
    await new Promise((resolve, reject) => waiting.push({ resolve, reject }));
    return api(config);
  }
  refreshing = true;
  try {
    keep(await bare.post("/auth/refresh-token", { refreshToken: localStorage.getItem("refresh_token") }));
    settle((request) => request.resolve());
  } catch (failure) {
    settle((request) => request.reject(failure));
    if (failure.response?.status === 400) leave(); // anything else may pass
    throw failure;
  } finally {
    refreshing = false;
  }
  return api(config);
});

function keep({ data }) {
  localStorage.setItem("access_token", data.accessToken);
  localStorage.setItem("refresh_token", data.refreshToken);
}

function settle(each) {
  const all = waiting;
  waiting = [];
  all.forEach(each);
}

function leave() {
  localStorage.clear();
  location.href = "/login";
}

window.app = {
  signIn: (username, password) =>
    bare.post("/auth/login", { username, password }).then(keep).then(() => "ok", (error) => String(error.response?.status)),

  async fire(n) {
    const all = await Promise.allSettled(
      Array.from({ length: n }, (_, i) => api.get(`/api/hello?n=${i}`).then(({ data }) => data.n === i)),
    );
    return all.filter(({ value }) => value).length;
  },

  // names asks n times at once who is signed in; null stands for no answer.
  names: (n) =>
    Promise.all(Array.from({ length: n }, () => api.get("/auth/me").then(({ data }) => data.username, () => null))),
};
