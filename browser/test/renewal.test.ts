// The decisions are those of Go's package renewal: its vectors say so.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { after, type Answer, before, type Pair, type View } from "../src/renewal.js";

interface VectorFile {
  issuer: string;
  formerIssuers: string[];
  pairs: Record<string, Record<string, any>>;
  vectors: {
    view: { live?: string; base?: string; basePresentedAt?: number; stored?: string; endedSessionId?: string; server: string };
    presented?: string;
    answer?: Answer;
    next?: string;
    step: string;
  }[];
}

// The tokens name a pair, as the vectors have it.
function pairOf(file: VectorFile, name: string | undefined): Pair | undefined {
  if (!name) return undefined;
  const pair: any = file.pairs[name];
  return {
    ...pair, issuer: pair.issuer || "", username: "", id: pair.accessToken + pair.refreshToken,
    receivedAt: pair.receivedAt * 1000, expiresAt: pair.expiresAt * 1000, refreshExpiresAt: pair.refreshExpiresAt * 1000,
  };
}

for (const name of ["before", "after"]) {
  test(`every vector of ${name}.json`, () => {
    const file: VectorFile = JSON.parse(readFileSync(join(process.env.VECTORS!, "renewal", `${name}.json`), "utf8"));
    assert.ok(file.vectors.length > 50);
    for (const vector of file.vectors) {
      const { live, base, stored, endedSessionId, basePresentedAt, server } = vector.view;
      const view: View = {
        live: pairOf(file, live), base: pairOf(file, base), stored: pairOf(file, stored), endedSessionId,
        baseHeldFor: basePresentedAt === undefined ? undefined : -basePresentedAt * 1000,
        issuers: [file.issuer, ...file.formerIssuers], forgiving: server === "forgiving",
      };
      const step = name === "before" ? before(view)
        : after(view, pairOf(file, vector.presented)!, vector.answer!, pairOf(file, vector.next));
      assert.equal(step, vector.step, JSON.stringify(vector));
    }
  });
}
