// A server that rotates by the textbook: it takes each refresh token once. Its answers
// are envelopes with status 200, as many admin templates have them.

import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";

export interface Seen {
  method: string;
  path: string;
  authorization?: string;
  tenant?: string;
  body: string;
}

export async function textbookServer() {
  const seen: Seen[] = [];
  let generation = 0;
  let isReused = false;
  let isExpired = false;
  let refusal: { status: number; body: unknown } | undefined;
  const server = createServer(async (request, response) => {
    const body = await read(request);
    const { authorization, "tenant-id": tenant } = request.headers;
    seen.push({ method: request.method!, path: request.url!, authorization, tenant: tenant as string, body });
    response.setHeader("Content-Type", "application/json");
    if (refusal && request.url === "/login") {
      response.statusCode = refusal.status;
      response.end(JSON.stringify(refusal.body));
      return;
    }
    response.end(JSON.stringify(answer(request.url!, authorization, body)));
  });

  function answer(path: string, authorization: string | undefined, body: string) {
    if (path === "/login") return { code: 0, data: grant() };
    if (path === "/refresh") {
      isReused = isReused || JSON.parse(body).refreshToken !== `refresh-${generation}`;
      return isReused ? { code: 1401, msg: "please sign in" } : { code: 0, data: grant() };
    }
    return authorization === `Bearer access-${generation}` && !isExpired ? { code: 0, data: body } : { code: 401 };
  }

  function grant() {
    generation++;
    isExpired = false;
    return { accessToken: `access-${generation}`, refreshToken: `refresh-${generation}`, expires: 3600 };
  }

  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    seen,
    // expire has the server refuse the access token that it gave last.
    expire: () => void (isExpired = true),
    // end has it refuse the refresh token, too.
    end: () => void (isExpired = isReused = true),
    // refuseSignIns has it give that answer to every sign-in.
    refuseSignIns: (status: number, body: unknown) => void (refusal = { status, body }),
    calls: (path: string) => seen.filter((each) => each.path === path),
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}

async function read(request: IncomingMessage): Promise<string> {
  let text = "";
  for await (const chunk of request) text += chunk;
  return text;
}
