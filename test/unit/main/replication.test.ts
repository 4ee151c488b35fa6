/** When a link may be made at all: the stream's lock is the right to follow the slot. No server is asked. */

import { describe, expect, it } from "vitest";
import { Flow } from "../../../src/main/flow/flow.ts";
import { Replication } from "../../../src/main/replication.ts";
import { SluiceError } from "../../../src/shared/errors.ts";
import { createLogger } from "../../../src/shared/logging.ts";
import { waitFor } from "../../support/wait-for.ts";

/** One whose every attempt is refused at once, and counted. */
function room() {
	let attempts = 0;
	const none = (): void => undefined;
	const flow = new Flow({
		windowBytes: 8 * 1024 * 1024,
		lanes: 1,
		probePrefix: "sluice:test",
		events: { probe: none, dispatch: none, pause: none, resume: none, acknowledgeable: none },
	});
	const replication = new Replication({
		link: {
			databaseUrl: () => {
				attempts += 1;
				return Promise.reject(new SluiceError("SLUICE_LINK_UNREACHABLE"));
			},
			slotName: "slot",
			publicationName: "publication",
		},
		flow,
		pauseLimitMs: 60_000,
		reconcile: () => Promise.reject(new Error("nothing connects here")),
		storeAcknowledged: () => Promise.resolve(),
		onStreaming: none,
		onPurge: none,
		onIdleLsn: none,
		onFatal: none,
		log: createLogger("silent", "main"),
	});
	return {
		replication,
		attempts: () => attempts,
		async [Symbol.asyncDispose]() {
			await replication.stop();
			flow.stop();
		},
	};
}

describe("a link that was forbidden because the lock is lost", () => {
	it("makes no other attempt, also when it was between two attempts, until it is allowed", async () => {
		await using link = room();
		link.replication.start();
		await waitFor("the wait between two attempts", () => link.replication.status().state === "waiting");
		link.replication.forbid("lock-lost");
		await waitFor("the end of that wait", () => link.replication.status().state === "detached");
		expect(link.replication.status().step).toBe("lock-lost");
		const before = link.attempts();
		// Longer than its pause before it looks for room, and than the first delay between attempts.
		await new Promise((resolve) => setTimeout(resolve, 1_200));
		expect(link.attempts()).toBe(before);
		expect(link.replication.status().state).toBe("detached");
		link.replication.allow();
		await waitFor("another attempt", () => link.attempts() > before, { timeoutMs: 2_000 });
	});

	it("ends at once when the service stops meanwhile", async () => {
		await using link = room();
		link.replication.start();
		link.replication.forbid("lock-lost");
		await waitFor("it to be detached", () => link.replication.status().state === "detached");
		await link.replication.stop();
		expect(link.replication.status().state).toBe("stopped");
	});
});
