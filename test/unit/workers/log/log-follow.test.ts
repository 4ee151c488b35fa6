/**
 * Reading along in a log while it is written: everything that is complete is shown, and nothing that is not.
 */

import { readFileSync, truncateSync, writeFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { INDEX_RECORD_BYTES, logIndexPath, logSegmentPath } from "../../../../src/shared/log-layout.ts";
import type { FollowedLog } from "../../../../src/shared/log-store.ts";
import type { LogState } from "../../../../src/shared/shape-table.ts";
import { followLog } from "../../../../src/workers/log/log-follow.ts";
import { forEachSeed } from "../../../support/random.ts";
import { useTemporaryDirectory } from "../../../support/temporary-directory.ts";
import { append, storeOf, write } from "./log-fixture.ts";

const parent = useTemporaryDirectory("follow");
let serial = 0;

function fresh(chunkBytes?: number) {
	serial += 1;
	const directory = `${parent.path()}/${serial}`;
	const store = storeOf(chunkBytes);
	return { directory, store, log: store.create(directory) };
}

/** The keys that a reader of this state gets, segment after segment. */
function visibleKeys(directory: string, state: LogState): string[] {
	const keys: string[] = [];
	for (let segment = 0; segment <= state.segment; segment += 1) {
		const bytes = readFileSync(logSegmentPath(directory, segment));
		const visible = segment === state.segment ? bytes.subarray(0, state.segmentBytes) : bytes;
		keys.push(...(JSON.parse(`[${visible}]`) as { key: string }[]).map(({ key }) => key));
	}
	return keys;
}

function follow(directory: string, chunkBytes = 1_000_000): FollowedLog {
	return followLog(directory, 0n, chunkBytes);
}

describe("a followed log", () => {
	it("shows what was there, then transactions as they become complete, over segments", () => {
		const { directory, store, log } = fresh(60);
		append(store, log, 100, ["a", "b"]);
		write(store, log);
		const followed = follow(directory, 60);
		expect(followed.state).toEqual(log.visibleState());
		expect(followed.advance()).toBe("unchanged");
		append(store, log, 200, ["c"], { staysOpen: true });
		write(store, log);
		expect(followed.advance()).toBe("unchanged");
		append(store, log, 200, ["d", "e"], { firstOp: 4 });
		write(store, log);
		expect(followed.advance()).toBe("advanced");
		expect(followed.state).toEqual(log.visibleState());
		expect(visibleKeys(directory, followed.state)).toEqual(["a", "b", "c", "d", "e"]);
		store.releaseAll();
	});

	it("sees an entry that is sealed in place, and one of the next transaction behind it", () => {
		const { directory, store, log } = fresh();
		const followed = follow(directory);
		expect(followed.state).toMatchObject({ opened: true, lastOffset: { tx: 0n, op: 0 }, segmentEntries: 0 });
		append(store, log, 100, ["a"], { staysOpen: true });
		write(store, log);
		expect(followed.advance()).toBe("unchanged");
		log.seal(store.space);
		append(store, log, 200, ["b"]);
		write(store, log);
		expect(followed.advance()).toBe("advanced");
		expect(visibleKeys(directory, followed.state)).toEqual(["a", "b"]);
		store.releaseAll();
	});

	it("waits for a record or data that are half written, and says when what it showed was taken back", () => {
		const { directory, store, log } = fresh();
		append(store, log, 100, ["a"]);
		write(store, log);
		const followed = follow(directory);
		append(store, log, 200, ["b"]);
		write(store, log);
		const index = logIndexPath(directory, 0);
		const data = logSegmentPath(directory, 0);
		const [wholeIndex, wholeData] = [readFileSync(index), readFileSync(data)];
		truncateSync(index, wholeIndex.length - 5);
		expect(followed.advance()).toBe("unchanged");
		const torn = Buffer.from(wholeIndex);
		torn.fill(0, torn.length - 8);
		writeFileSync(index, torn);
		expect(followed.advance()).toBe("unchanged");
		writeFileSync(index, wholeIndex);
		truncateSync(data, wholeData.length - 1);
		expect(followed.advance()).toBe("unchanged");
		writeFileSync(data, wholeData);
		expect(followed.advance()).toBe("advanced");
		truncateSync(index, INDEX_RECORD_BYTES);
		expect(followed.advance()).toBe("lost");
		expect(follow(directory).state.lastOffset).toEqual({ tx: 100n, op: 2 });
		store.releaseAll();
	});

	it("never shows part of a transaction and never stays behind, whatever is written, taken back and recovered", async () => {
		await forEachSeed(20, (random) => {
			const chunkBytes = random.pick([40, 90, 300, 1_000_000]);
			const { directory, ...first } = fresh(chunkBytes);
			let { store, log } = first;
			let followed = follow(directory, chunkBytes);
			const look = (): void => {
				const expected = log.visibleState();
				if (followed.advance() === "lost") {
					followed = follow(directory, chunkBytes);
				}
				expect(followed.state).toEqual(expected);
				if (random.chance(0.2)) {
					followed = follow(directory, chunkBytes);
					expect(followed.state).toEqual(expected);
				}
			};
			const open = (): void => {
				store.releaseAll();
				store = storeOf(chunkBytes);
				log = store.open(directory, { acknowledgedLsn: 0n, keep: null });
			};
			for (let lsn = 100; lsn < 1_500; lsn += 100) {
				const texts = Array.from({ length: random.integer(1, 8) }, () => random.text(random.integer(1, 30)));
				let done = 0;
				while (done < texts.length) {
					const upTo = random.integer(done + 1, texts.length);
					const staysOpen = upTo < texts.length || random.chance(0.3);
					append(store, log, lsn, texts.slice(done, upTo), { firstOp: 2 + 2 * done, staysOpen });
					if (random.chance(0.8) || upTo < texts.length) {
						write(store, log);
					}
					done = upTo;
					if (random.chance(0.5) && !log.hasWork) {
						look();
					}
					// The transaction comes again from its start, with the same entries.
					if (log.isOpen && !log.hasWork && random.chance(0.2)) {
						if (random.chance(0.5)) {
							store.discardOpen(log);
						} else {
							open();
						}
						done = 0;
					}
				}
				if (log.isOpen) {
					log.seal(store.space);
				}
			}
			write(store, log);
			look();
			store.releaseAll();
		});
	});
});
