import axios from "axios";
import { isEnded } from "@tandem-auth/browser";
import { attach } from "@tandem-auth/browser/axios";
import { auth, takeOver } from "./auth";

await takeOver();
const request = attach(auth, axios.create({ baseURL: "/api" }));
const message = document.querySelector("#message")!;

// Every request settles, whatever becomes of the refresh that it waits for.
document.querySelector<HTMLElement>("#ask")!.onclick = async () => {
  message.textContent = "";
  const results = await Promise.allSettled(Array.from({ length: 5 }, () => request.get("/me")));
  const names = results.map((result) => result.status === "fulfilled" ? result.value.data.username : isEnded(result.reason) ? "ended" : "failed");
  message.textContent = names.join(" ");
};
message.textContent = auth.state.status === "signedIn" ? `signed in as ${auth.state.username}` : "signed out";
