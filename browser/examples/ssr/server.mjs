// A server that renders pages for users whose refresh token is in a cookie. The browser
// sends that cookie here, since this server and Tandem's are behind one origin; this server
// shows it to Tandem's, and hands the next one back to the browser.
//
//	TANDEM=http://localhost:8080 PORT=3000 node server.mjs

import { createServer } from "node:http";
import { createAuth, isEnded } from "@tandem-auth/browser";

const { TANDEM, PORT = "3000" } = process.env;

// sessionOf returns the session of one request, and the cookies that the browser has to be
// given with the answer. Nothing is shared between requests, and no timer stays behind.
function sessionOf(request) {
  const cookies = [];
  const auth = createAuth({
    url: TANDEM,
    mode: "cookie",
    storage: "memory",
    refreshAhead: 0,
    async fetch(url, init = {}) {
      const headers = new Headers(init.headers);
      // Tandem's cookies, and nothing else that the browser has of this origin.
      const own = (request.headers.cookie ?? "").split("; ").filter((each) => /^(__Secure-)?tandem-/.test(each));
      if (own.length) headers.set("Cookie", own.join("; "));
      const response = await fetch(url, { ...init, headers });
      cookies.push(...response.headers.getSetCookie());
      return response;
    },
  });
  return { auth, cookies };
}

const escape = (text) => text.replace(/[&<>"]/g, (sign) => `&#${sign.charCodeAt(0)};`);

async function render(auth) {
  await auth.ready; // asks Tandem's server whose cookie it is
  if (auth.state.status === "signedOut") return [200, "<p>Please sign in.</p>"];
  try {
    const response = await auth.fetch(`${TANDEM}/api/me`);
    return [200, `<p>Hello ${escape((await response.json()).username)}</p>`];
  } catch (error) {
    return isEnded(error) ? [200, "<p>Please sign in.</p>"] : [503, "<p>Please try again in a moment.</p>"];
  }
}

createServer(async (request, response) => {
  const { auth, cookies } = sessionOf(request);
  const [status, body] = await render(auth);
  auth.dispose();
  response.writeHead(status, {
    "Content-Type": "text/html; charset=utf-8",
    "Cache-Control": "private, no-store", // a cache must not give one user's cookies to another
    "Set-Cookie": cookies,
  });
  response.end(`<!doctype html><title>Rendered</title>${body}`);
}).listen(Number(PORT), "localhost", function () {
  console.log(`listening on http://localhost:${this.address().port}`);
});
