/**
 * Named places where a test may cause a fault, and the closed vocabulary of what it may cause. Absent in
 * production: a plan reaches a thread only through the options of `startDaemon`, which no environment
 * variable sets. Called by the lane; planned by test/faults.
 */

export type FaultPoint =
	/** The lane has received a batch and not begun it. */
	| "lane.batch.before"
	/** Half of the frames of the batch are processed. */
	| "lane.batch.middle"
	/** Everything of the batch is written, the report is not sent. */
	| "lane.batch.written"
	/** Before a lane writes to a log file. */
	| "lane.log.write"
	/** Before a lane syncs at a checkpoint. */
	| "lane.checkpoint";

export type FaultAction =
	/** Blocks the thread, event loop and all. */
	| { readonly kind: "block"; readonly durationMs: number }
	/** Ends the thread as a crash would. */
	| { readonly kind: "crash" }
	/** Fills the thread's heap until V8 ends it (ERR_WORKER_OUT_OF_MEMORY). */
	| { readonly kind: "exhaust" }
	/** Throws an error with a system code, as a full disk does. */
	| { readonly kind: "fail"; readonly systemCode: string };

export interface Fault {
	readonly point: FaultPoint;
	readonly action: FaultAction;
	/** Passes that go by before the fault fires. */
	readonly skip?: number;
	/** How often it fires; 1 when absent. A restarted thread starts its own count. */
	readonly times?: number;
	/** Only in this lane; every lane when absent. */
	readonly lane?: number;
	/** Only while the lane works on the shape in this slot. */
	readonly slot?: number;
}

/** Nothing planned: what production runs with. */
export const NO_FAULTS: readonly Fault[] = [];

/** Counts passes and fires what is planned. */
export class FaultInjector {
	readonly #faults: { fault: Fault; passes: number; fired: number }[];

	constructor(faults: readonly Fault[], lane: number) {
		this.#faults = faults
			.filter((fault) => fault.lane === undefined || fault.lane === lane)
			.map((fault) => ({ fault, passes: 0, fired: 0 }));
	}

	/**
	 * @param slot of the shape that the lane works on, where that is known
	 * @throws Error with `code` = the planned system code
	 */
	pass(point: FaultPoint, slot?: number): void {
		for (const entry of this.#faults) {
			if (entry.fault.point !== point || (entry.fault.slot !== undefined && entry.fault.slot !== slot)) {
				continue;
			}
			entry.passes += 1;
			if (entry.passes <= (entry.fault.skip ?? 0) || entry.fired >= (entry.fault.times ?? 1)) {
				continue;
			}
			entry.fired += 1;
			this.#fire(entry.fault.action);
		}
	}

	#fire(action: FaultAction): void {
		switch (action.kind) {
			case "block":
				Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, action.durationMs);
				return;
			case "crash":
				// In a worker thread this ends the thread, not the process.
				process.exit(70);
				return;
			case "exhaust": {
				const held: object[] = [];
				for (;;) {
					held.push(new Array(1_000).fill(held.length));
				}
			}
			case "fail":
				throw Object.assign(new Error(`injected fault: ${action.systemCode}`), { code: action.systemCode });
		}
	}
}
