/**
 * The lanes as the registrar sees them: which one is attached, its control client, and the wait for one that is
 * being restarted. Owns the ports; must not know what a shape is. Called by shapes and the registrar.
 */

import type { MessagePort } from "node:worker_threads";
import { type ControlClient, controlClient } from "../../shared/control-call.ts";
import { SluiceError } from "../../shared/errors.ts";
import type { LaneEvent, LaneShapeControl } from "../../shared/messages.ts";

/** One life of a lane. A restarted lane is another connection. */
export interface LaneConnection {
	readonly lane: number;
	readonly control: ControlClient<LaneShapeControl>;
}

/** How long a call waits for a lane that is starting. */
const ATTACH_WAIT_MS = 5_000;

interface Attached extends LaneConnection {
	readonly ports: readonly MessagePort[];
	/** Shapes are restored: calls for single shapes may come. */
	restored: boolean;
	/** Resolves when the shapes are restored, or when this life of the lane has ended before. */
	readonly settled: Promise<void>;
	readonly settle: () => void;
}

export class Lanes {
	readonly #attached = new Map<number, Attached>();
	readonly #waiting = new Map<number, Set<(connection: LaneConnection | null) => void>>();

	/** A lane has (re)started. Calls for its shapes go on waiting until {@link restored}. */
	attach(lane: number, control: MessagePort, events: MessagePort, onEvent: (event: LaneEvent) => void): LaneConnection {
		this.#close(this.#attached.get(lane));
		const settled = Promise.withResolvers<void>();
		const connection: Attached = {
			lane,
			control: controlClient<LaneShapeControl>(control),
			ports: [control, events],
			restored: false,
			settled: settled.promise,
			settle: settled.resolve,
		};
		this.#attached.set(lane, connection);
		control.once("close", () => {
			connection.settle();
			if (this.#attached.get(lane) === connection) {
				this.#attached.delete(lane);
			}
		});
		events.on("message", onEvent);
		return connection;
	}

	/** The lane holds its shapes. */
	restored(connection: LaneConnection): void {
		const attached = this.#attached.get(connection.lane);
		if (attached === connection) {
			attached.restored = true;
			attached.settle();
			for (const take of [...(this.#waiting.get(connection.lane) ?? [])]) {
				take(connection);
			}
		}
	}

	/** The lane when it can take calls now, else null. */
	current(lane: number): LaneConnection | null {
		const attached = this.#attached.get(lane);
		return attached?.restored === true ? attached : null;
	}

	/** The lane, after waiting a little for it. @throws SluiceError `SLUICE_NOT_ACTIVE` */
	ready(lane: number): Promise<LaneConnection> {
		const current = this.current(lane);
		if (current !== null) {
			return Promise.resolve(current);
		}
		return new Promise((resolve, reject) => {
			const waiting = this.#waiting.get(lane) ?? new Set();
			this.#waiting.set(lane, waiting);
			const take = (connection: LaneConnection | null): void => {
				clearTimeout(timer);
				waiting.delete(take);
				if (connection === null) {
					reject(new SluiceError("SLUICE_NOT_ACTIVE", { lane }));
				} else {
					resolve(connection);
				}
			};
			const timer = setTimeout(() => take(null), ATTACH_WAIT_MS);
			waiting.add(take);
		});
	}

	/**
	 * The lane once it holds its shapes, however long that takes: until then it may be about to take a shape that is
	 * removed meanwhile. Null when it is not there, or ends before (its next life starts from our list).
	 */
	async present(lane: number, signal: AbortSignal): Promise<LaneConnection | null> {
		const attached = this.#attached.get(lane);
		if (attached === undefined || signal.aborted) {
			return null;
		}
		const stop = (): void => attached.settle();
		signal.addEventListener("abort", stop);
		await attached.settled;
		signal.removeEventListener("abort", stop);
		return attached.restored && this.#attached.get(lane) === attached ? attached : null;
	}

	close(): void {
		for (const attached of this.#attached.values()) {
			this.#close(attached);
		}
		this.#attached.clear();
		for (const waiting of this.#waiting.values()) {
			for (const take of [...waiting]) {
				take(null);
			}
		}
	}

	#close(attached: Attached | undefined): void {
		for (const port of attached?.ports ?? []) {
			port.close();
		}
	}
}
