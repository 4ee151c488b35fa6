/**
 * A crash may leave fewer entries, never a hole; and the replay brings back the missing ones at the same offsets
 * with the same bytes.
 *
 * Two kinds of crash are generated. The machine's: of everything that was written since the last checkpoint any
 * part may be on disk, in any order, block by block. The lane's: the process goes on, all writes before some
 * moment of a batch are there and none after it, a seal half done included.
 */

import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { ShapeTable } from "../../src/shared/shape-table.ts";
import * as frames from "../support/pgoutput-frames.ts";
import { forEachSeed, type Random } from "../support/random.ts";
import { useTemporaryDirectory } from "../support/temporary-directory.ts";
import {
	type BatchOptions,
	brief,
	type DefinitionOptions,
	EMPTY_SNAPSHOT,
	ITEMS,
	itemsRelation,
	LaneFixture,
	type LogItem,
} from "../unit/workers/lane/lane-fixture.ts";

const directory = useTemporaryDirectory("log-crash");

const SHAPES: readonly DefinitionOptions[] = [
	{},
	{ equals: ["owner", "a"] },
	{ equals: ["owner", "b"], replica: "full" },
];
const BLOCK_BYTES = 16;

interface StreamTransaction {
	readonly lsn: bigint;
	readonly endLsn: bigint;
	readonly xid: number;
	readonly changes: readonly Buffer[];
}

interface Batch {
	readonly payload: readonly Buffer[];
	readonly options: BatchOptions;
	/** End of the last commit in it, or of the one before it. */
	readonly endLsn: bigint;
}

function generateStream(random: Random): StreamTransaction[] {
	const row = (): string[] => [
		String(random.integer(1, 20)),
		random.pick(["a", "b", "c"]),
		random.text(random.integer(0, 60), 'xyz"/é\n'),
	];
	let lsn = BigInt(random.integer(1000, 100_000));
	return Array.from({ length: random.integer(4, 16) }, (_, index) => {
		lsn += BigInt(random.integer(8, 200)) * 8n;
		const changes = Array.from({ length: random.chance(0.2) ? random.integer(10, 40) : random.integer(1, 5) }, () =>
			random.pick([
				() => frames.insert(ITEMS, row()),
				() => frames.update(ITEMS, row(), row()),
				() => frames.remove(ITEMS, row()),
			])(),
		);
		const transaction = { lsn, endLsn: lsn + 48n, xid: 700 + index, changes };
		lsn += random.chance(0.3) ? 48n : 100n;
		return transaction;
	});
}

/** Cuts the transactions that end beyond `fromLsn` into batches, anywhere. */
function batchesOf(random: Random, stream: readonly StreamTransaction[], fromLsn: bigint, epoch: number): Batch[] {
	const batches: Batch[] = [];
	let payload: Buffer[] = [itemsRelation()];
	let open: { lsn: bigint; xid: number; changes: number } | undefined;
	let openAtStart: typeof open;
	let endLsn = fromLsn;
	const close = (): void => {
		batches.push({
			payload,
			options: { epoch, ...(openAtStart === undefined ? {} : { open: openAtStart }), endsInside: open !== undefined },
			endLsn,
		});
		payload = [itemsRelation()];
		openAtStart = open === undefined ? undefined : { ...open };
	};
	const add = (frame: Buffer): void => {
		payload.push(frame);
		if (random.chance(0.12)) {
			close();
		}
	};
	for (const transaction of stream.filter(({ endLsn: end }) => end > fromLsn)) {
		open = { lsn: transaction.lsn, xid: transaction.xid, changes: 0 };
		add(frames.begin(transaction.lsn, transaction.xid));
		for (const change of transaction.changes) {
			open = { ...open, changes: open.changes + 1 };
			add(change);
		}
		open = undefined;
		endLsn = transaction.endLsn;
		add(frames.commit(transaction.lsn, transaction.endLsn));
	}
	close();
	return batches;
}

type Files = ReadonlyMap<string, Buffer>;

function filesBelow(root: string): Files {
	const names = readdirSync(root, { recursive: true, encoding: "utf8" }).filter((name) => /\.(json|idx)$/.test(name));
	return new Map(names.sort().map((name) => [name, readFileSync(join(root, name))]));
}

function writeFiles(root: string, files: Files): void {
	rmSync(root, { recursive: true, force: true });
	SHAPES.forEach((_, slot) => {
		mkdirSync(join(root, `shape-${slot}`), { recursive: true });
	});
	for (const [name, bytes] of files) {
		writeFileSync(join(root, name), bytes);
	}
}

/**
 * What a disk may hold after the machine stopped. `states` begins with what was synced and ends with what was
 * written last. The files of a segment are as in one of them, or each is a mixture of two.
 */
function afterPowerLoss(random: Random, states: readonly Files[]): Files {
	const result = new Map<string, Buffer>();
	const names = new Set(states.flatMap((files) => [...files.keys()].map((name) => name.replace(/\.\w+$/, ""))));
	for (const segment of names) {
		const state = random.pick(states);
		const isWhole = random.chance(0.6);
		for (const name of [`${segment}.json`, `${segment}.idx`]) {
			const [bytes, old, now] = [state.get(name), states[0]?.get(name), states.at(-1)?.get(name)];
			if (!isWhole) {
				mixInto(result, random, name, old, now);
			} else if (bytes !== undefined) {
				result.set(name, bytes);
			}
		}
	}
	return result;
}

function mixInto(
	result: Map<string, Buffer>,
	random: Random,
	name: string,
	old: Buffer | undefined,
	now: Buffer | undefined,
): void {
	if (old !== undefined && now !== undefined) {
		result.set(name, mix(random, old, now));
	} else if (random.chance(0.7)) {
		result.set(name, mix(random, Buffer.alloc(0), old ?? now ?? Buffer.alloc(0)));
	}
}

function mix(random: Random, old: Buffer, now: Buffer): Buffer {
	const shorter = Math.min(old.length, now.length);
	const length = random.chance(0.4) ? now.length : random.integer(shorter, Math.max(old.length, now.length));
	const bytes = Buffer.alloc(length);
	const newness = random.pick([0, 0.5, 0.9, 1]);
	for (let at = 0; at < length; at += BLOCK_BYTES) {
		const source = random.chance(newness) ? now : old;
		if (at < source.length) {
			source.copy(bytes, at, at, Math.min(at + BLOCK_BYTES, length, source.length));
		}
	}
	return bytes;
}

function tableWithShapes(): ShapeTable {
	const table = ShapeTable.create();
	SHAPES.forEach((_, slot) => {
		table.assign(slot, 0, 3);
	});
	return table;
}

async function restore(lane: LaneFixture): Promise<void> {
	await lane.control.restore(SHAPES.map((options, slot) => lane.assignment(slot, options, EMPTY_SNAPSHOT)));
	for (const slot of SHAPES.keys()) {
		await lane.open(slot);
	}
}

/** Batch by batch, or in groups: what is written together is chance, and must not show. */
function play(lane: LaneFixture, batches: readonly Batch[], random: Random): void {
	const flushes = random.pick([1, 0.5, 0.1]);
	for (const { payload, options } of batches) {
		lane.take(payload, options);
		if (random.chance(flushes)) {
			lane.flush();
		}
	}
	lane.flush();
}

/** The log without a crash: what every crash and replay has to end in. */
async function undisturbed(root: string, stream: readonly StreamTransaction[], random: Random, chunkBytes: number) {
	writeFiles(root, new Map());
	const lane = new LaneFixture({ directory: root, chunkBytes, table: tableWithShapes() });
	await restore(lane);
	play(lane, batchesOf(random, stream, 0n, 1), random);
	lane.store.releaseAll();
	return { files: filesBelow(root), items: [...SHAPES.keys()].map((slot) => lane.visible(slot)) };
}

function expectPrefix(found: readonly LogItem[], whole: readonly LogItem[], syncedBelow: bigint): void {
	expect(found.map(brief)).toEqual(whole.slice(0, found.length).map(brief));
	const synced = whole.filter((item) => BigInt(item.headers.lsn) < syncedBelow).length;
	expect(found.length).toBeGreaterThanOrEqual(synced);
}

describe("a crash may leave fewer entries, never a hole", () => {
	it("when the machine stops, with any part of the unsynced writes on disk", { timeout: 120_000 }, async () => {
		await forEachSeed(80, async (random) => {
			const root = join(directory.path(), `machine-${random.seed}`);
			const chunkBytes = random.pick([250, 700, 1_000_000]);
			const stream = generateStream(random);
			const expected = await undisturbed(join(root, "whole"), stream, random, chunkBytes);

			let states: Files[] = [new Map()];
			let durableLsn = 0n;
			const crashing = join(root, "crashing");
			writeFiles(crashing, new Map());
			const table = tableWithShapes();
			const lane = new LaneFixture({ directory: crashing, chunkBytes, table });
			await restore(lane);
			let epoch = 1;
			let batches = batchesOf(random, stream, 0n, epoch);
			for (let rest = random.integer(1, batches.length); rest > 0 && batches.length > 0; rest -= 1) {
				const batch = batches.shift() as Batch;
				lane.take(batch.payload, batch.options);
				if (random.chance(0.4) && rest > 1) {
					continue;
				}
				lane.flush();
				states.push(filesBelow(crashing));
				if (random.chance(0.3)) {
					states = states.slice(-1);
					durableLsn = batch.endLsn;
				}
				if (random.chance(0.1)) {
					epoch += 1;
					batches = batchesOf(random, stream, durableLsn, epoch);
				}
			}
			lane.store.releaseAll();

			writeFiles(crashing, afterPowerLoss(random, states));
			const survivor = new LaneFixture({
				directory: crashing,
				chunkBytes,
				table: tableWithShapes(),
				resume: { acknowledgedLsn: durableLsn },
			});
			await restore(survivor);
			expect(survivor.events).toEqual([]);
			SHAPES.forEach((_, slot) => {
				expectPrefix(survivor.visible(slot), expected.items[slot] ?? [], durableLsn);
			});
			play(survivor, batchesOf(random, stream, durableLsn, 1), random);
			survivor.store.releaseAll();
			expect(filesBelow(crashing)).toEqual(expected.files);
			rmSync(root, { recursive: true });
		});
	});

	it("when the lane dies between any two writes of a batch and the process goes on", { timeout: 120_000 }, async () => {
		await forEachSeed(40, async (random) => {
			const root = join(directory.path(), `lane-${random.seed}`);
			const chunkBytes = random.pick([250, 700, 1_000_000]);
			const stream = generateStream(random);
			const expected = await undisturbed(join(root, "whole"), stream, random, chunkBytes);

			const living = join(root, "living");
			const copyAt = (name: string): string => join(root, name);
			writeFiles(living, new Map());
			const table = tableWithShapes();
			let writes = 0;
			let dyingWrite = -1;
			const lane = new LaneFixture({
				directory: living,
				chunkBytes,
				table,
				beforeWrite: () => {
					if (writes === dyingWrite) {
						cpSync(living, copyAt("before"), { recursive: true });
					} else if (writes === dyingWrite + 1) {
						cpSync(living, copyAt("after"), { recursive: true });
					}
					writes += 1;
				},
			});
			await restore(lane);
			const batches = batchesOf(random, stream, 0n, 1);
			const dyingBatch = random.integer(0, batches.length - 1);
			play(lane, batches.slice(0, dyingBatch), random);
			writes = 0;
			dyingWrite = random.integer(0, 4);
			for (const { payload, options } of batches.slice(dyingBatch, dyingBatch + random.integer(1, 4))) {
				lane.take(payload, options);
			}
			lane.flush();
			lane.store.releaseAll();
			for (const name of ["before", "after"]) {
				if (!existsSync(copyAt(name))) {
					cpSync(living, copyAt(name), { recursive: true });
				}
			}
			// The data of the write may be there without its index records.
			const files = new Map(filesBelow(copyAt("before")));
			if (random.chance(0.5)) {
				for (const [name, bytes] of filesBelow(copyAt("after"))) {
					if (name.endsWith(".json")) {
						files.set(name, bytes);
					}
				}
			}
			writeFiles(living, files);

			const { open } = batches[dyingBatch]?.options ?? {};
			const heir = new LaneFixture({
				directory: living,
				chunkBytes,
				table,
				resume: {
					openTransaction: open === undefined ? null : { finalLsn: open.lsn, changeCount: open.changes },
				},
			});
			await restore(heir);
			expect(heir.events).toEqual([]);
			SHAPES.forEach((_, slot) => {
				expectPrefix(heir.visible(slot), expected.items[slot] ?? [], batches[dyingBatch - 1]?.endLsn ?? 0n);
			});
			play(heir, batches.slice(dyingBatch), random);
			heir.store.releaseAll();
			expect(filesBelow(living)).toEqual(expected.files);
			rmSync(root, { recursive: true });
		});
	});

	it("and a batch that the disk refuses, again and again, leaves no trace", { timeout: 120_000 }, async () => {
		await forEachSeed(40, async (random) => {
			const root = join(directory.path(), `full-${random.seed}`);
			const chunkBytes = random.pick([250, 700, 1_000_000]);
			const stream = generateStream(random);
			const expected = await undisturbed(join(root, "whole"), stream, random, chunkBytes);

			const refusing = join(root, "refusing");
			writeFiles(refusing, new Map());
			let refuses = false;
			const lane = new LaneFixture({
				directory: refusing,
				chunkBytes,
				table: tableWithShapes(),
				openLogsMax: 8,
				beforeWrite: () => {
					if (refuses && random.chance(0.4)) {
						throw Object.assign(new Error("no space left on device"), { code: "ENOSPC" });
					}
				},
			});
			await restore(lane);
			for (const { payload, options } of batchesOf(random, stream, 0n, 1)) {
				for (refuses = true; refuses; ) {
					const before = filesBelow(refusing);
					try {
						lane.process(payload, options);
						refuses = false;
					} catch (error) {
						expect(error).toMatchObject({ code: "SLUICE_DISK_FULL" });
						expect(withoutEmpty(filesBelow(refusing))).toEqual(withoutEmpty(before));
						refuses = random.chance(0.7);
						if (!refuses) {
							lane.process(payload, options);
						}
					}
				}
			}
			lane.store.releaseAll();
			expect(filesBelow(refusing)).toEqual(expected.files);
			rmSync(root, { recursive: true });
		});
	});
});

/** Files that were created for a write which did not happen are as good as none. */
function withoutEmpty(files: Files): Files {
	return new Map([...files].filter(([, bytes]) => bytes.length > 0));
}
