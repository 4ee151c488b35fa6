/**
 * Entry of a snapshot thread: ordinary Piscina tasks, one snapshot or one subset query each. Owns nothing; the work is
 * in snapshot/task.ts and snapshot/subset.ts. Called by the registrar's pool.
 */

import { isMainThread } from "node:worker_threads";
import { invariant } from "../shared/assert.ts";
import type { SnapshotOutcome, SnapshotTask } from "../shared/snapshot-task.ts";
import type { SubsetOutcome, SubsetTask } from "../shared/subset-task.ts";
import { takeSubset } from "./snapshot/subset.ts";
import { takeSnapshot } from "./snapshot/task.ts";

invariant(!isMainThread, "this file is the entry of a snapshot thread");

export default function run(task: SnapshotTask): Promise<SnapshotOutcome> {
	return takeSnapshot(task);
}

/** Called by its name, SUBSET_TASK_NAME. */
export function subset(task: SubsetTask): Promise<SubsetOutcome> {
	return takeSubset(task);
}
