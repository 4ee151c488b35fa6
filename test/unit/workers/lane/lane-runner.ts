/**
 * Runs a lane's task in a plain worker, as the pool does in the daemon. Started by lane-thread.test.ts.
 */

import { workerData } from "node:worker_threads";
import type { LaneTask } from "../../../../src/shared/messages.ts";

const { entry, task } = workerData as { entry: string; task: LaneTask };
const { default: runLane } = (await import(entry)) as { default: (task: LaneTask) => Promise<void> };
await runLane(task);
