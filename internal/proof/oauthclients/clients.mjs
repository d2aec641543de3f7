// OAuth 2 clients that others have written, against the server of the environment. Each
// prints one line when it has done what the test asks for, and fails otherwise.

import assert from "node:assert/strict";
import { createRemoteJWKSet, jwtVerify } from "jose";
import * as oauth from "oauth4webapi";
import * as openid from "openid-client";

const { ISSUER, REFRESH_TOKEN, SECRET, CLIENT = "shop", AUDIENCE } = process.env;
const issuer = new URL(ISSUER);
const insecure = { [oauth.allowInsecureRequests]: true }; // the server of the test has no TLS

const stories = {
  async oauth4webapi() {
    const found = await oauth.discoveryRequest(issuer, { algorithm: "oauth2", ...insecure });
    const server = await oauth.processDiscoveryResponse(issuer, found);
    const client = { client_id: CLIENT };
    let token = REFRESH_TOKEN;
    let access;
    for (const auth of [oauth.ClientSecretBasic(SECRET), oauth.ClientSecretPost(SECRET)]) {
      const response = await oauth.refreshTokenGrantRequest(server, client, auth, token, insecure);
      const tokens = await oauth.processRefreshTokenResponse(server, client, response);
      assert.equal(tokens.token_type, "bearer");
      token = tokens.refresh_token;
      access = tokens.access_token;
    }
    const request = new Request("http://api.example/", { headers: { Authorization: `Bearer ${access}` } });
    const claims = await oauth.validateJwtAccessToken(server, request, AUDIENCE, insecure);
    assert.equal(claims.client_id, CLIENT);

    const ask = async (text) => {
      const response = await oauth.introspectionRequest(server, client, oauth.ClientSecretBasic(SECRET), text, insecure);
      return oauth.processIntrospectionResponse(server, client, response);
    };
    assert.equal((await ask(access)).active, true);
    const revoked = await oauth.revocationRequest(server, client, oauth.ClientSecretBasic(SECRET), token, insecure);
    await oauth.processRevocationResponse(revoked);
    assert.equal((await ask(access)).active, false);

    const response = await oauth.refreshTokenGrantRequest(server, client, oauth.ClientSecretBasic(SECRET), token, insecure);
    await assert.rejects(oauth.processRefreshTokenResponse(server, client, response), { error: "invalid_grant" });
  },

  async "openid-client"() {
    const options = { algorithm: "oauth2", execute: [openid.allowInsecureRequests] };
    const config = await openid.discovery(issuer, CLIENT, SECRET, openid.ClientSecretPost(SECRET), options);
    const tokens = await openid.refreshTokenGrant(config, REFRESH_TOKEN);
    assert.equal((await openid.tokenIntrospection(config, tokens.access_token)).active, true);
    await openid.tokenRevocation(config, tokens.refresh_token);
    await assert.rejects(openid.refreshTokenGrant(config, tokens.refresh_token), { error: "invalid_grant" });
  },

  async jose() {
    const keys = createRemoteJWKSet(new URL("/.well-known/jwks.json", issuer));
    const response = await fetch(new URL("/oauth/token", issuer), {
      method: "POST", body: new URLSearchParams({ grant_type: "refresh_token", refresh_token: REFRESH_TOKEN }),
    });
    const { access_token } = await response.json();
    const { payload } = await jwtVerify(access_token, keys, { issuer: ISSUER, audience: AUDIENCE, typ: "at+jwt" });
    assert.ok(payload.sid && payload.sub);
  },
};

await stories[process.argv[2]]();
console.log("done");
