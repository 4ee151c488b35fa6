/**
 * The version of this build, read once from package.json. Owns nothing else. Called by whoever names the
 * product on a wire: the `electric-server` header, the application name of connections.
 */

import { readFileSync } from "node:fs";
import { z } from "zod";

// The same distance from src/shared and from dist/shared.
const packageJson = readFileSync(new URL("../../package.json", import.meta.url), "utf8");

export const VERSION: string = z.object({ version: z.string() }).parse(JSON.parse(packageJson)).version;
