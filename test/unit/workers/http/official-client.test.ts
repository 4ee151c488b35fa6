/** The published client against an HTTP thread: it checks headers, offsets and bodies as no list of ours does. */

import { type ChangeMessage, isChangeMessage, isControlMessage, type Message, ShapeStream } from "@electric-sql/client";
import { describe, expect, test } from "vitest";
import { HttpStand } from "./support/http-stand.ts";
import { SNAPSHOT_END, snapshotRow } from "./support/shape-files.ts";

const H = "1-1768478340123456";

class Follower {
	readonly messages: Message[] = [];
	readonly errors: unknown[] = [];
	readonly #abort = new AbortController();
	#notify: () => void = () => undefined;

	constructor(stand: HttpStand, liveSse: boolean) {
		const stream = new ShapeStream({
			url: `http://127.0.0.1:${stand.port}/v1/shape`,
			params: { table: "items" },
			liveSse,
			signal: this.#abort.signal,
			onError: (error) => {
				this.errors.push(error);
			},
		});
		stream.subscribe((messages) => {
			this.messages.push(...messages);
			this.#notify();
		});
	}

	get keys(): string[] {
		return this.messages.filter((message) => isChangeMessage(message)).map((message) => (message as ChangeMessage).key);
	}

	async until(holds: (follower: Follower) => boolean): Promise<void> {
		while (!holds(this)) {
			await new Promise<void>((resolve) => {
				this.#notify = resolve;
			});
		}
	}

	[Symbol.dispose](): void {
		this.#abort.abort();
	}
}

describe.each([
	["long-polls", false],
	["server-sent events", true],
] as const)("over %s the client", (_name, liveSse) => {
	test("gets the snapshot, the log and the live changes, each once, and survives a rotation", async () => {
		await using stand = await HttpStand.start({ environment: { SLUICE_CHUNK_BYTES: "300" } });
		const files = stand.shape("items", H, 3);
		files.snapshot([[snapshotRow("1")], [snapshotRow("2"), SNAPSHOT_END]]);
		files.commit(100n, [
			{ op: 2, id: "3" },
			{ op: 4, id: "4" },
		]);
		using follower = new Follower(stand, liveSse);
		const key = (id: string) => `"public"."items"/"${id}"`;
		await follower.until(({ keys }) => keys.length >= 4);
		for (let number = 5; number <= 12; number += 1) {
			await stand.parked(1);
			files.commit(BigInt(number * 100), [{ op: 2, id: String(number), padding: "x".repeat(150) }]);
			stand.announce(3);
			await follower.until(({ keys }) => keys.length >= number);
		}
		expect(follower.keys).toEqual(Array.from({ length: 12 }, (_, index) => key(String(index + 1))));
		await stand.parked(1);
		const successor = stand.shape("items", "2-2", 4);
		successor.snapshot([[snapshotRow("20"), SNAPSHOT_END]]);
		stand.remove(3);
		await follower.until(({ keys }) => keys.at(-1) === key("20"));
		expect(
			follower.messages.some((message) => isControlMessage(message) && message.headers.control === "must-refetch"),
		).toBe(true);
		expect(follower.errors).toEqual([]);
	});
});
