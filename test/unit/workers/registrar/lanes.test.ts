/**
 * The registrar's view of its lanes: who may be called when.
 */

import { MessageChannel } from "node:worker_threads";
import { afterEach, describe, expect, it, vi } from "vitest";
import { type LaneConnection, Lanes } from "../../../../src/workers/registrar/lanes.ts";

function attach(lanes: Lanes): { readonly connection: LaneConnection; readonly die: () => void } {
	const control = new MessageChannel();
	const events = new MessageChannel();
	const connection = lanes.attach(0, control.port2, events.port2, () => {});
	return {
		connection,
		die: () => {
			control.port1.close();
			events.port1.close();
		},
	};
}

describe("a lane that is starting", () => {
	const lanes: Lanes[] = [];
	const made = (): Lanes => {
		const next = new Lanes();
		lanes.push(next);
		return next;
	};

	afterEach(() => {
		vi.useRealTimers();
		for (const each of lanes.splice(0)) {
			each.close();
		}
	});

	it("is waited for as long as it takes to restore its shapes", async () => {
		vi.useFakeTimers();
		const rooms = made();
		const { connection } = attach(rooms);
		let answered = false;
		const present = rooms.present(0, new AbortController().signal).finally(() => {
			answered = true;
		});
		await vi.advanceTimersByTimeAsync(60_000);
		expect(answered).toBe(false);
		rooms.restored(connection);
		expect(await present).toBe(connection);
	});

	it("is nobody once it has died, was replaced, or the registrar stops", async () => {
		const rooms = made();
		const { signal } = new AbortController();
		expect(await rooms.present(0, signal)).toBeNull();
		const first = attach(rooms);
		const died = rooms.present(0, signal);
		first.die();
		expect(await died).toBeNull();
		attach(rooms);
		const replaced = rooms.present(0, signal);
		attach(rooms);
		expect(await replaced).toBeNull();
		const stopping = new AbortController();
		const stopped = rooms.present(0, stopping.signal);
		stopping.abort();
		expect(await stopped).toBeNull();
	});
});
