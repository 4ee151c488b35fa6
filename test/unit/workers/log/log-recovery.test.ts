/**
 * Recovery: what a damaged or unfinished log becomes, and what is refused.
 */

import { appendFileSync, existsSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { INDEX_RECORD_BYTES, logIndexPath, logSegmentPath } from "../../../../src/shared/log-layout.ts";
import type { RecoveryRules } from "../../../../src/shared/log-store.ts";
import { useTemporaryDirectory } from "../../../support/temporary-directory.ts";
import { append, entriesOf, storeOf, write } from "./log-fixture.ts";

const parent = useTemporaryDirectory("recovery");
let serial = 0;

const NOTHING_SYNCED: RecoveryRules = { acknowledgedLsn: 0n, keep: null };

interface Written {
	readonly directory: string;
	readonly data: (segment?: number) => string;
	readonly index: (segment?: number) => string;
}

/** Transactions 100 (a, b), 200 (c), 300 (d, e); chunks as given. */
function written(chunkBytes?: number): Written {
	serial += 1;
	const directory = `${parent.path()}/${serial}`;
	const store = storeOf(chunkBytes);
	const log = store.create(directory);
	append(store, log, 100, ["a", "b"]);
	append(store, log, 200, ["c"]);
	append(store, log, 300, ["d", "e"]);
	write(store, log);
	store.releaseAll();
	return {
		directory,
		data: (segment = 0) => logSegmentPath(directory, segment),
		index: (segment = 0) => logIndexPath(directory, segment),
	};
}

function recovered(directory: string, rules: RecoveryRules = NOTHING_SYNCED): string[] {
	const store = storeOf();
	const log = store.open(directory, rules);
	return log.isEmpty ? [] : entriesOf(directory, log.tail.segment);
}

function flip(path: string, at: number): void {
	const bytes = readFileSync(path);
	bytes[at] = (bytes[at] ?? 0) ^ 0xff;
	writeFileSync(path, bytes);
}

const ALL = ["a@100_2", "b@100_4!", "c@200_2!", "d@300_2", "e@300_4!"];

describe("log recovery", () => {
	it("finds a whole log whole, in one segment and in several", () => {
		expect(recovered(written().directory)).toEqual(ALL);
		expect(recovered(written(60).directory)).toEqual(ALL);
	});

	it("finds nothing in an empty directory", () => {
		expect(recovered(parent.path())).toEqual([]);
	});

	it.each([1, 31, 33])("drops a record that is torn by %i bytes, with its transaction", (bytes) => {
		const log = written();
		truncateSync(log.index(), 5 * INDEX_RECORD_BYTES - bytes);
		expect(recovered(log.directory)).toEqual(ALL.slice(0, 3));
		expect(readFileSync(log.index())).toHaveLength(3 * INDEX_RECORD_BYTES);
	});

	it("drops entries whose data is missing or wrong, and everything after the first of them", () => {
		const short = written();
		truncateSync(short.data(), readFileSync(short.data()).length - 1);
		expect(recovered(short.directory)).toEqual(ALL.slice(0, 3));
		const wrong = written();
		flip(wrong.data(), 50);
		expect(recovered(wrong.directory)).toEqual([]);
	});

	it("drops bytes beyond the last record", () => {
		const log = written();
		const before = readFileSync(log.data());
		appendFileSync(log.data(), ",garbage");
		appendFileSync(log.index(), Buffer.alloc(40));
		expect(recovered(log.directory)).toEqual(ALL);
		expect(readFileSync(log.data())).toEqual(before);
	});

	it("drops segments behind a segment that lost entries, though they are whole", () => {
		const log = written(60);
		expect(existsSync(log.data(2))).toBe(true);
		const bytes = readFileSync(log.data(1));
		const cut = bytes.indexOf(",{");
		truncateSync(log.index(1), INDEX_RECORD_BYTES);
		truncateSync(log.data(1), cut);
		expect(recovered(log.directory)).toEqual(ALL.slice(0, 3));
		expect(existsSync(log.data(2))).toBe(false);
	});

	it("drops an unfinished transaction", () => {
		const log = written();
		const store = storeOf();
		const reopened = store.open(log.directory, NOTHING_SYNCED);
		append(store, reopened, 400, ["f", "g"], { staysOpen: true });
		write(store, reopened);
		expect(entriesOf(log.directory, 0)).toEqual([...ALL, "f@400_2", "g@400_4"]);
		expect(recovered(log.directory)).toEqual(ALL);
	});

	it("keeps the entries of an open transaction that were reported, and those only", () => {
		const log = written();
		const store = storeOf();
		const reopened = store.open(log.directory, NOTHING_SYNCED);
		append(store, reopened, 400, ["f", "g", "h"], { staysOpen: true });
		write(store, reopened);
		const rules = { acknowledgedLsn: 0n, keep: { finalLsn: 400n, belowOp: 6 } };
		expect(recovered(log.directory, rules)).toEqual([...ALL, "f@400_2", "g@400_4"]);
		expect(recovered(log.directory, { acknowledgedLsn: 0n, keep: { finalLsn: 500n, belowOp: 6 } })).toEqual(ALL);
	});

	it("repairs a seal whose record was not written, and seals it again", () => {
		const log = written();
		const store = storeOf();
		const reopened = store.open(log.directory, NOTHING_SYNCED);
		append(store, reopened, 400, ["f"], { staysOpen: true });
		write(store, reopened);
		const unsealedIndex = readFileSync(log.index());
		reopened.seal(store.space);
		write(store, reopened);
		writeFileSync(log.index(), unsealedIndex);
		const rules = { acknowledgedLsn: 0n, keep: { finalLsn: 400n, belowOp: 4 } };
		const again = store.open(log.directory, rules);
		expect(entriesOf(log.directory, 0)).toEqual([...ALL, "f@400_2"]);
		store.releaseAll();
		again.seal(store.space);
		write(store, again);
		expect(entriesOf(log.directory, 0)).toEqual([...ALL, "f@400_2!"]);
	});

	it("trusts what was synced and still cuts what was not", () => {
		const log = written();
		truncateSync(log.data(), readFileSync(log.data()).length - 1);
		expect(recovered(log.directory, { acknowledgedLsn: 300n, keep: null })).toEqual(ALL.slice(0, 3));
	});

	it("refuses a log whose synced entries are damaged", () => {
		const data = written();
		truncateSync(data.data(), readFileSync(data.data()).length - 1);
		expect(() => recovered(data.directory, { acknowledgedLsn: 316n, keep: null })).toThrow(
			expect.objectContaining({ code: "SLUICE_LOG_CORRUPT" }),
		);
		const index = written();
		flip(index.index(), 4 * INDEX_RECORD_BYTES + 20);
		expect(() => recovered(index.directory, { acknowledgedLsn: 316n, keep: null })).toThrow(
			expect.objectContaining({ code: "SLUICE_LOG_CORRUPT" }),
		);
	});

	it("counts a commit at the acknowledged position itself as not synced", () => {
		const log = written();
		truncateSync(log.data(), readFileSync(log.data()).length - 1);
		expect(recovered(log.directory, { acknowledgedLsn: 300n, keep: null })).toEqual(ALL.slice(0, 3));
	});

	it("never takes remnants beyond a lost segment for a part of the log", () => {
		const log = written(60);
		for (const path of [log.data(1), log.index(1)]) {
			rmSync(path);
		}
		const store = storeOf(60);
		const reopened = store.open(log.directory, NOTHING_SYNCED);
		expect(entriesOf(log.directory, reopened.tail.segment)).toEqual(ALL.slice(0, 2));
		append(store, reopened, 200, ["c"]);
		write(store, reopened);
		store.releaseAll();
		expect(recovered(log.directory, { acknowledgedLsn: 1_000n, keep: null })).toEqual(ALL.slice(0, 3));
	});

	it("reads a single segment without looking for others, and keeps its files open for the writer", () => {
		const log = written();
		const store = storeOf();
		const reopened = store.open(log.directory, { acknowledgedLsn: 1_000n, keep: null });
		expect(store.openFiles).toBe(2);
		expect(store.isAtHand(reopened)).toBe(true);
		expect(reopened.createdFiles).toBe(false);
		append(store, reopened, 400, ["f"]);
		write(store, reopened);
		expect(entriesOf(log.directory, 0)).toEqual([...ALL, "f@400_2!"]);
		store.releaseAll();
	});

	it("goes on writing where it was cut, in the same segments as if nothing had happened", () => {
		const log = written(60);
		const whole = [0, 1, 2].map((segment) => readFileSync(log.data(segment), "utf8"));
		truncateSync(log.index(1), 33);
		const store = storeOf(60);
		const reopened = store.open(log.directory, NOTHING_SYNCED);
		append(store, reopened, 300, ["d", "e"]);
		write(store, reopened);
		expect([0, 1, 2].map((segment) => readFileSync(log.data(segment), "utf8"))).toEqual(whole);
		expect(entriesOf(log.directory, 2)).toEqual(ALL);
	});
});
