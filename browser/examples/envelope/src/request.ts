// What the template's interceptors do besides the refresh stays as it is: the refresh and
// the second attempt happen below them, so that they run once for each request.

import axios from "axios";
import { ref } from "vue";
import { attach } from "@tandem-auth/browser/axios";
import { auth } from "./auth";

export const loading = ref(0); // requests under way, for the bar at the top
export const begun = ref(0); // how often the bar has begun

export const request = attach(auth, axios.create({ baseURL: "/envelope/api", timeout: 10_000 }));

request.interceptors.request.use((config) => {
  loading.value++;
  begun.value++;
  if (config.data) config.data = encrypt(JSON.stringify(config.data));
  config.headers["Content-Type"] = "text/plain";
  return config;
});

request.interceptors.response.use(({ data: { code, data, msg } }) => {
  loading.value--;
  if (code !== 0) throw new Error(msg);
  return data;
}, (error) => {
  loading.value--;
  throw error;
});

// A stand-in for the template's encryption: applied twice, it cannot be undone once.
const encrypt = (text: string) => btoa("secret:" + text);
export const decrypt = (text: string) => JSON.parse(atob(text).replace(/^secret:/, ""));
