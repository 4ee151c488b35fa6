/**
 * What a row costs in a lane: decode, match, encode, append and flush with real files, without PostgreSQL, ports
 * or threads. Owns a temporary directory. Run by hand: `node bench/lane.ts [shapes] [rows per transaction]
 * [rows per batch] [batches per group]`; without arguments it goes through the cases of the README.
 */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readBatchHeader } from "../src/shared/batch-layout.ts";
import { createShapeMatcher } from "../src/workers/match/shape-matcher.ts";
import * as frames from "../test/support/pgoutput-frames.ts";
import { batchOf, EMPTY_SNAPSHOT, ITEMS, itemsRelation, LaneFixture } from "../test/unit/workers/lane/lane-fixture.ts";

interface Case {
	readonly shapes: number;
	readonly rowsPerTransaction: number;
	readonly rowsPerBatch: number;
	readonly batchesPerGroup: number;
}

const CASES: readonly Case[] = [
	{ shapes: 1, rowsPerTransaction: 1, rowsPerBatch: 240, batchesPerGroup: 40 },
	{ shapes: 1_000, rowsPerTransaction: 1, rowsPerBatch: 240, batchesPerGroup: 1 },
	{ shapes: 1_000, rowsPerTransaction: 1, rowsPerBatch: 240, batchesPerGroup: 40 },
	{ shapes: 1_000, rowsPerTransaction: 100, rowsPerBatch: 8_000, batchesPerGroup: 2 },
	{ shapes: 10_000, rowsPerTransaction: 1, rowsPerBatch: 240, batchesPerGroup: 1 },
	{ shapes: 10_000, rowsPerTransaction: 1, rowsPerBatch: 240, batchesPerGroup: 40 },
	{ shapes: 10_000, rowsPerTransaction: 1, rowsPerBatch: 240, batchesPerGroup: 160 },
];
/** Enough that compilation and the first touch of the files are over. */
const WARM_ROWS_MIN = 100_000;
const MEASURED_MS = 3_000;

/** Owners in an order that looks random and visits each equally often. */
const OWNER_STEP = 7_919;

class Workload {
	readonly #case: Case;
	#row = 0;
	#lsn = 1_000_000n;
	#xid = 1_000;

	constructor(options: Case) {
		this.#case = options;
	}

	batch(): SharedArrayBuffer {
		const { shapes, rowsPerTransaction, rowsPerBatch } = this.#case;
		const payload = [itemsRelation()];
		for (let rows = 0; rows < rowsPerBatch; rows += rowsPerTransaction) {
			payload.push(frames.begin(this.#lsn, this.#xid));
			for (let row = 0; row < rowsPerTransaction; row += 1) {
				this.#row += 1;
				const owner = String((this.#row * OWNER_STEP) % shapes);
				payload.push(frames.insert(ITEMS, [String(this.#row), owner, `some title text of medium length ${this.#row}`]));
			}
			payload.push(frames.commit(this.#lsn, this.#lsn + 16n));
			this.#lsn += 100n;
			this.#xid += 1;
		}
		return batchOf(payload, { sequence: 1 });
	}
}

async function measure(options: Case): Promise<string> {
	const directory = mkdtempSync(join(tmpdir(), "sluice-lane-"));
	const lane = new LaneFixture({ directory, matcher: createShapeMatcher(), chunkBytes: 10 * 1024 * 1024 });
	for (let slot = 0; slot < options.shapes; slot += 1) {
		await lane.addSplicedWith(slot, EMPTY_SNAPSHOT, { equals: ["owner", String(slot)] });
	}
	const workload = new Workload(options);
	const runGroup = (): { rows: number; userMs: number; systemMs: number; wallMs: number } => {
		const batches = Array.from({ length: options.batchesPerGroup }, () => workload.batch());
		const memories = batches.map((shared) => ({ buffer: Buffer.from(shared), view: new DataView(shared) }));
		const startedMs = performance.now();
		const before = process.cpuUsage();
		for (const { buffer, view } of memories) {
			lane.processor.take(readBatchHeader(view, 0), buffer, view, 0);
		}
		lane.processor.flush();
		const used = process.cpuUsage(before);
		return {
			rows: options.batchesPerGroup * options.rowsPerBatch,
			userMs: used.user / 1000,
			systemMs: used.system / 1000,
			wallMs: performance.now() - startedMs,
		};
	};
	for (let rows = 0; rows < Math.max(WARM_ROWS_MIN, 2 * options.shapes); ) {
		rows += runGroup().rows;
	}
	const total = { rows: 0, userMs: 0, systemMs: 0, wallMs: 0 };
	while (total.wallMs < MEASURED_MS) {
		const { rows, userMs, systemMs, wallMs } = runGroup();
		total.rows += rows;
		total.userMs += userMs;
		total.systemMs += systemMs;
		total.wallMs += wallMs;
	}
	lane.store.releaseAll();
	rmSync(directory, { recursive: true });
	const perRow = (ms: number): string => ((ms * 1e6) / total.rows).toFixed(0).padStart(6);
	return (
		`${String(options.shapes).padStart(6)} shapes, ${options.rowsPerTransaction} rows a transaction, ` +
		`${options.batchesPerGroup} x ${options.rowsPerBatch} rows a group: ` +
		`user ${perRow(total.userMs)} + system ${perRow(total.systemMs)} ns a row, ` +
		`${(total.rows / total.wallMs).toFixed(0)} thousand rows a second`
	);
}

const numbers = process.argv.slice(2).map(Number);
const cases =
	numbers.length === 0
		? CASES
		: [
				{
					shapes: numbers[0] ?? 1_000,
					rowsPerTransaction: numbers[1] ?? 1,
					rowsPerBatch: numbers[2] ?? 240,
					batchesPerGroup: numbers[3] ?? 40,
				},
			];
for (const options of cases) {
	process.stdout.write(`${await measure(options)}\n`);
}
