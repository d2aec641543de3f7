// What the test needs to play the tutorial's code, which is in the folders
// beside this file.
import axios from "axios";
import request from "@/request/index";
import { login } from "@/api/login";

// The tutorial refreshes with the bare axios. What it is refused outlives the
// page in a note.
axios.interceptors.response.use(null, (error) => {
  const refusals = JSON.parse(sessionStorage.refusals ?? "[]");
  refusals.push({ ...error.response?.data, status: error.response?.status });
  sessionStorage.refusals = JSON.stringify(refusals);
  throw error;
});

window.app = {
  // signIn returns "ok" or the status of the refusal.
  signIn: (username, password) => login(username, password).then(() => "ok", (error) => String(error.response?.status)),

  // fire sends n requests at once and returns how many were answered.
  async fire(n) {
    const all = await Promise.allSettled(
      Array.from({ length: n }, (_, i) => request.get(`/api/hello?n=${i}`).then(({ data }) => data.n === i)),
    );
    return all.filter(({ value }) => value).length;
  },
};
