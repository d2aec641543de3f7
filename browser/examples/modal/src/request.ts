// The template's request interceptor awaits a good token before each request. It may go on
// doing so: all who wait share one refresh. attach is for what no client can know in
// advance, that the server refuses a token before its time.

import axios from "axios";
import { attach } from "@tandem-auth/browser/axios";
import { auth } from "./auth";

export const request = attach(auth, axios.create({ baseURL: "/api", timeout: 10_000 }));

request.interceptors.request.use(async (config) => {
  config.headers.Authorization = `Bearer ${await auth.token({ validFor: 5 })}`;
  return config;
});
