// What the server of this page does on demand to the session of a client, and a thief.

// arrange has the next refreshes of the session meet faults: { kind, delay }. See the
// comment on playFaults in internal/tryit.
export async function arrange(client, faults) {
  const { refreshToken } = await client.tokens();
  await post("/try/faults", { refreshToken, faults });
}

// expire has the server refuse the session's access token from now on.
export async function expire(client) {
  const { accessToken } = await client.tokens();
  await post("/try/expire", {}, { Authorization: `Bearer ${accessToken}` });
}

// steal copies the refresh token and uses it elsewhere, then uses what it got for it: now
// the thief is ahead. It reports whether the server went along.
export async function steal(client) {
  let { refreshToken } = await client.tokens();
  for (let uses = 0; uses < 2 && refreshToken; uses++) {
    const response = await post("/auth/refresh-token", { refreshToken }).catch(() => undefined);
    refreshToken = response && (await response.json()).refreshToken;
  }
  return Boolean(refreshToken);
}

async function post(path, body, headers = {}) {
  const response = await fetch(path, {
    method: "POST", headers: { "Content-Type": "application/json", ...headers }, body: JSON.stringify(body), credentials: "omit",
  });
  if (!response.ok) throw new Error(`${path} answered ${response.status}`);
  return response;
}
