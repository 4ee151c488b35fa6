/**
 * The daemon as a process of its own, with what only tests may plan: faults, and a keepalive that is switched
 * off. Owns nothing else. Started by daemon.ts; configured like the service, and by one argument of JSON.
 */

import { startDaemon } from "../../src/main/daemon.ts";
import { parseConfig } from "../../src/shared/config.ts";
import type { Fault } from "../../src/shared/fault-points.ts";

export interface ChildPlan {
	readonly faults: readonly Fault[];
	readonly disableKeepalive: boolean;
}

const plan = JSON.parse(process.argv[2] ?? "{}") as ChildPlan;
const config = parseConfig(process.env);
if (config.databaseUrl === undefined) {
	throw new Error("DATABASE_URL is missing");
}
const daemon = await startDaemon({ config: { ...config, databaseUrl: config.databaseUrl }, ...plan });
process.once("SIGTERM", () => {
	daemon.stop().then(
		() => process.exit(0),
		() => process.exit(1),
	);
});
// A test that is killed leaves nothing behind.
process.once("disconnect", () => process.exit(1));
process.send?.(daemon.ports);
daemon.finished.catch(() => {
	process.exitCode = 1;
	daemon.stop().finally(() => process.exit(1));
});
