/**
 * Entry of a snapshot thread: an ordinary Piscina task, one snapshot each. Owns nothing; the work is in
 * snapshot/task.ts. Called by the registrar's pool.
 */

import { isMainThread } from "node:worker_threads";
import { invariant } from "../shared/assert.ts";
import type { SnapshotOutcome, SnapshotTask } from "../shared/snapshot-task.ts";
import { takeSnapshot } from "./snapshot/task.ts";

invariant(!isMainThread, "this file is the entry of a snapshot thread");

export default function run(task: SnapshotTask): Promise<SnapshotOutcome> {
	return takeSnapshot(task);
}
