/**
 * A lane's thread: puts the rooms together and runs them for the lane's life. Owns nothing itself; must only run
 * in a worker thread. The default export is the Piscina task that main's pool room starts.
 */

import { isMainThread } from "node:worker_threads";
import type { LaneTask } from "../shared/messages.ts";
import { PgoutputDecoder } from "./decode/pgoutput.ts";
import { LaneShell } from "./lane/lane-shell.ts";
import { FileLogStore } from "./log/log-store.ts";
import { createShapeMatcher } from "./match/shape-matcher.ts";

if (isMainThread) {
	throw new Error("A lane runs in a worker thread of the daemon; start the daemon with `sluice start` instead.");
}

/** Runs a lane until main stops it; rejects when it cannot go on. */
export default function runLane(task: LaneTask): Promise<void> {
	const shell = new LaneShell(task, {
		matcher: createShapeMatcher(),
		decoder: new PgoutputDecoder(),
		createStore: (options) => new FileLogStore(options),
	});
	return shell.run();
}
