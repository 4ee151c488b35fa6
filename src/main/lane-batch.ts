/**
 * A batch of the window as a lane gets it. Owns nothing: the two rooms do not know each other. Called by the daemon.
 */

import type { WindowBatch } from "./flow/window.ts";
import type { LaneBatch } from "./pool/lane.ts";

export function laneBatch(batch: WindowBatch): LaneBatch {
	return {
		kind: "batch",
		sequence: batch.sequence,
		segment: batch.segment,
		dedicated: batch.dedicated,
		byteOffset: batch.byteOffset,
		byteLength: batch.byteLength,
	};
}
