/**
 * Slots rest after a removal, and changes are announced together.
 */

import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { BroadcastChannel } from "node:worker_threads";
import { describe, expect, it } from "vitest";
import { type SlotsChanged, slotsChannelName } from "../../../../src/shared/messages.ts";
import { SlotAnnouncer, Slots } from "../../../../src/workers/registrar/slots.ts";

describe("slots", () => {
	it("are given out once, rest for a minute after a removal, and run out with an error", () => {
		let nowMs = 0;
		const slots = new Slots(3, () => nowMs);
		expect([slots.take(), slots.take(), slots.take()]).toEqual([0, 1, 2]);
		slots.giveBack(1);
		nowMs = 59_999;
		expect(() => slots.take()).toThrowError(expect.objectContaining({ code: "SLUICE_SHAPES_EXHAUSTED" }));
		slots.giveBack(0);
		nowMs = 60_000;
		expect(slots.take()).toBe(1);
		expect(() => slots.take()).toThrowError(expect.objectContaining({ code: "SLUICE_SHAPES_EXHAUSTED" }));
		nowMs = 200_000;
		expect(slots.take()).toBe(0);
	});

	it("are reused in the order of their removal, however many", () => {
		let nowMs = 0;
		const slots = new Slots(5_000, () => nowMs);
		for (let round = 0; round < 5; round += 1) {
			const taken = Array.from({ length: 5_000 }, () => slots.take());
			expect(new Set(taken).size).toBe(5_000);
			for (const slot of taken) {
				slots.giveBack(slot);
			}
			nowMs += 60_000;
		}
	});

	it("of one turn of the event loop are announced in one message", async () => {
		const instanceId = randomUUID();
		const channel = new BroadcastChannel(slotsChannelName(instanceId));
		const announcer = new SlotAnnouncer(instanceId);
		const message = once(channel as unknown as EventTarget, "message");
		announcer.changed(3);
		announcer.changed(5);
		announcer.changed(3);
		const [event] = (await message) as [{ readonly data: SlotsChanged }];
		expect([...event.data.slots]).toEqual([3, 5]);
		announcer.close();
		announcer.changed(7);
		channel.close();
	});
});
