// This file, and request.ts, take the place of the template's token store and refresh code.

import { createAuth } from "@tandem-auth/browser";

export const auth = createAuth();
