/**
 * A lane without its thread: real decoder, real log store in a temporary directory, a matcher that knows only
 * equality. Owns nothing beyond the test that makes it. Called by the tests of lane/ and log/.
 */

import { readFileSync } from "node:fs";
import { must } from "../../../../src/shared/assert.ts";
import {
	BATCH_HEADER_BYTES,
	FRAME_LENGTH_BYTES,
	readBatchHeader,
	writeBatchHeader,
} from "../../../../src/shared/batch-layout.ts";
import { type Fault, FaultInjector } from "../../../../src/shared/fault-points.ts";
import { logSegmentPath } from "../../../../src/shared/log-layout.ts";
import type { LogStore } from "../../../../src/shared/log-store.ts";
import { createLogger } from "../../../../src/shared/logging.ts";
import type { MatchSink, Relation, ShapeMatcher } from "../../../../src/shared/matching.ts";
import type { LaneEvent, LaneResume } from "../../../../src/shared/messages.ts";
import { opOfChange } from "../../../../src/shared/offset.ts";
import type {
	ColumnInfo,
	ShapeAssignment,
	ShapeDefinition,
	SnapshotInfo,
} from "../../../../src/shared/shape-definition.ts";
import { ShapeTable, SLOT_ACTIVE } from "../../../../src/shared/shape-table.ts";
import type { Tuple } from "../../../../src/shared/tuple.ts";
import { PgoutputDecoder } from "../../../../src/workers/decode/pgoutput.ts";
import { BatchProcessor, type ProcessedGroup } from "../../../../src/workers/lane/batch-processor.ts";
import { ShapeBook } from "../../../../src/workers/lane/shape-book.ts";
import { ShapeControl } from "../../../../src/workers/lane/shape-control.ts";
import { FileLogStore } from "../../../../src/workers/log/log-store.ts";
import * as frames from "../../../support/pgoutput-frames.ts";

export const ITEMS = 100;

/** Sees nothing that commits at or above `insertLsn` 0. */
export const EMPTY_SNAPSHOT: SnapshotInfo = { xmin: "1", xmax: "1", xipList: [], insertLsn: "0" };

export function columnInfo(name: string, attributeNumber: number, primaryKeyIndex: number | null): ColumnInfo {
	return {
		name,
		attributeNumber,
		typeOid: 25,
		typeName: "text",
		baseTypeName: "text",
		typeKind: "b",
		typmod: -1,
		dimensions: 0,
		isArray: false,
		notNull: false,
		primaryKeyIndex,
		isGenerated: false,
		deterministicCollation: true,
	};
}

export interface DefinitionOptions {
	readonly oid?: number;
	readonly name?: string;
	readonly columns?: readonly string[];
	readonly selected?: readonly string[];
	readonly keys?: readonly string[];
	readonly leafOids?: readonly number[];
	readonly replica?: "default" | "full";
	/** Column and value of an equality. */
	readonly equals?: readonly [string, string];
}

export function definitionOf(options: DefinitionOptions = {}): ShapeDefinition {
	const columns = options.columns ?? ["id", "owner", "title"];
	const keys = options.keys ?? ["id"];
	const [column, value] = options.equals ?? [];
	return {
		table: {
			oid: options.oid ?? ITEMS,
			schema: "public",
			name: options.name ?? "items",
			kind: options.leafOids === undefined ? "r" : "p",
			columns: columns.map((name, index) =>
				columnInfo(name, index + 1, keys.includes(name) ? keys.indexOf(name) : null),
			),
			leafOids: options.leafOids ?? [],
		},
		where:
			column === undefined || value === undefined
				? null
				: {
						sql: `${column} = '${value}'`,
						tree: {
							kind: "compare",
							operator: "=",
							comparison: "text",
							left: { kind: "column", name: column, type: "text", casts: [] },
							right: { kind: "literal", type: "text", text: value },
						},
					},
		selectedColumns: [...(options.selected ?? columns)].sort(),
		columnsGiven: options.selected !== undefined,
		keyColumns: keys.length > 0 ? keys : columns,
		hasPrimaryKey: keys.length > 0,
		replica: options.replica ?? "default",
		log: "full",
	};
}

interface FakeShape {
	readonly definition: ShapeDefinition;
	readonly column: string | null;
	readonly value: Buffer;
}

/** Matches everything, or one equality, read from the definition's SQL. */
export class FakeMatcher implements ShapeMatcher {
	readonly #shapes = new Map<number, FakeShape>();
	readonly #relations = new Map<number, Relation>();

	addShape(slot: number, definition: ShapeDefinition): void {
		const parts = /^(\w+) = '(.*)'$/.exec(definition.where?.sql ?? "");
		this.#shapes.set(slot, { definition, column: parts?.[1] ?? null, value: Buffer.from(parts?.[2] ?? "") });
	}

	removeShape(slot: number): void {
		this.#shapes.delete(slot);
	}

	watches(relationOid: number): boolean {
		return this.shapesOn(relationOid).length > 0;
	}

	shapesOn(relationOid: number): readonly number[] {
		return [...this.#shapes]
			.filter(
				([, { definition }]) => definition.table.oid === relationOid || definition.table.leafOids.includes(relationOid),
			)
			.map(([slot]) => slot);
	}

	bindRelation(relation: Relation): void {
		this.#relations.set(relation.oid, relation);
	}

	match(relationOid: number, oldTuple: Tuple | null, newTuple: Tuple | null, sink: MatchSink): void {
		const names = this.#relations.get(relationOid)?.columns.map((column) => column.name) ?? [];
		for (const slot of this.shapesOn(relationOid)) {
			const shape = this.#shapes.get(slot);
			if (shape !== undefined) {
				const column = shape.column === null ? -1 : names.indexOf(shape.column);
				const isInside = (tuple: Tuple | null): boolean =>
					tuple !== null && (shape.column === null || tuple.text(column) === shape.value.toString());
				const [inOld, inNew] = [isInside(oldTuple), isInside(newTuple)];
				if (inOld || inNew) {
					sink(slot, inOld, inNew);
				}
			}
		}
	}
}

export interface BatchOptions {
	readonly sequence?: number;
	readonly epoch?: number;
	/** The transaction that is open at the start. */
	readonly open?: { readonly lsn: bigint; readonly xid: number; readonly changes: number };
	readonly endsInside?: boolean;
	readonly lastCommitEndLsn?: bigint;
}

/** The bytes of a batch. */
export function batchOf(payload: readonly Buffer[], options: BatchOptions = {}): SharedArrayBuffer {
	const payloadBytes = payload.reduce((sum, frame) => sum + FRAME_LENGTH_BYTES + frame.length, 0);
	const shared = new SharedArrayBuffer(BATCH_HEADER_BYTES + payloadBytes);
	const view = new DataView(shared);
	const bytes = Buffer.from(shared);
	let lastCommitEndLsn = options.lastCommitEndLsn ?? 0n;
	let at = BATCH_HEADER_BYTES;
	for (const frame of payload) {
		view.setUint32(at, frame.length, true);
		frame.copy(bytes, at + FRAME_LENGTH_BYTES);
		at += FRAME_LENGTH_BYTES + frame.length;
		if (frame[0] === 0x43) {
			lastCommitEndLsn = frame.readBigUInt64BE(10);
		}
	}
	writeBatchHeader(view, 0, {
		sequence: options.sequence ?? 1,
		streamEpoch: options.epoch ?? 1,
		startsInside: options.open !== undefined,
		endsInside: options.endsInside ?? false,
		lastCommitEndLsn,
		openFinalLsn: options.open?.lsn ?? 0n,
		openCommitTime: 0n,
		openXid: options.open?.xid ?? 0,
		openChangeCount: options.open?.changes ?? 0,
		frameCount: payload.length,
		payloadBytes,
		firstLsn: 0n,
	});
	return shared;
}

export function itemsRelation(columns = ["id", "owner", "title"], oid = ITEMS, name = "items"): Buffer {
	return frames.relation(
		oid,
		"public",
		name,
		columns.map((column) => ({ name: column })),
	);
}

/** A transaction: Begin, the changes, Commit. It ends 16 bytes after its commit record. */
export function transaction(lsn: bigint, xid: number, ...changes: readonly Buffer[]): Buffer[] {
	return [frames.begin(lsn, xid), ...changes, frames.commit(lsn, lsn + 16n)];
}

export interface FixtureOptions {
	readonly directory: string;
	readonly chunkBytes?: number;
	readonly openLogsMax?: number;
	readonly faults?: readonly Fault[];
	readonly resume?: Partial<LaneResume>;
	/** The memory of an earlier life in the same process. */
	readonly table?: ShapeTable;
	readonly matcher?: ShapeMatcher;
	/** Called before each write to a log. */
	readonly beforeWrite?: () => void;
}

export class LaneFixture {
	readonly table: ShapeTable;
	readonly store: LogStore;
	readonly book: ShapeBook;
	readonly processor: BatchProcessor;
	readonly control: ShapeControl;
	readonly events: LaneEvent[] = [];
	readonly faults: FaultInjector;
	readonly #directory: string;
	/** Of the last batch that was written, and of the last one that was taken. */
	#sequence = 0;
	#takenSequence = 0;

	constructor(options: FixtureOptions) {
		this.#directory = options.directory;
		this.table = options.table ?? ShapeTable.create();
		const faults = new FaultInjector(options.faults ?? [], 0);
		this.faults = faults;
		this.store = new FileLogStore({
			chunkBytes: options.chunkBytes ?? 1_000_000,
			lanes: 1,
			beforeWrite: () => {
				options.beforeWrite?.();
				faults.pass("lane.log.write");
			},
			...(options.openLogsMax === undefined ? {} : { openLogsMax: options.openLogsMax }),
		});
		const matcher = options.matcher ?? new FakeMatcher();
		const log = createLogger("silent", "lane-0");
		const openTransaction = options.resume?.openTransaction ?? null;
		this.book = new ShapeBook({
			lane: 0,
			table: this.table,
			matcher,
			store: this.store,
			rules: {
				acknowledgedLsn: options.resume?.acknowledgedLsn ?? 0n,
				keep:
					openTransaction === null
						? null
						: { finalLsn: openTransaction.finalLsn, belowOp: opOfChange(openTransaction.changeCount) },
			},
			post: (event) => this.events.push(event),
			log,
		});
		this.processor = new BatchProcessor({
			book: this.book,
			matcher,
			decoder: new PgoutputDecoder(),
			store: this.store,
			faults,
			openTransaction,
			post: (event) => this.events.push(event),
			log,
		});
		this.control = new ShapeControl({
			book: this.book,
			processor: this.processor,
			store: this.store,
			openTransaction,
			quarantine: options.resume?.quarantine ?? [],
			settle: () => this.flush(),
			restored: () => undefined,
			announce: () => undefined,
			removed: () => undefined,
			log,
		});
	}

	assignment(slot: number, options: DefinitionOptions = {}, snapshot: SnapshotInfo | null = null): ShapeAssignment {
		return {
			slot,
			generation: this.table.generation(slot),
			handle: `shape-${slot}`,
			directory: `${this.#directory}/shape-${slot}`,
			definition: definitionOf(options),
			snapshot,
		};
	}

	/** Adds a shape and splices a snapshot that holds nothing. */
	async addSpliced(slot: number, options: DefinitionOptions = {}): Promise<void> {
		await this.addPending(slot, options);
		await this.splice(slot, EMPTY_SNAPSHOT);
	}

	async addSplicedWith(slot: number, snapshot: SnapshotInfo, options: DefinitionOptions = {}): Promise<void> {
		await this.addPending(slot, options);
		await this.splice(slot, snapshot);
	}

	splice(slot: number, snapshot: SnapshotInfo): Promise<"spliced" | "retake"> {
		return this.control.spliceSnapshot(slot, this.table.generation(slot), snapshot);
	}

	open(slot: number): Promise<void> {
		return this.control.openShape(slot, this.table.generation(slot));
	}

	/** As the registrar does when the removal is durable. */
	remove(slot: number): Promise<void> {
		return this.control.removeShape(slot, this.table.generation(slot));
	}

	async addPending(slot: number, options: DefinitionOptions = {}): Promise<void> {
		this.table.assign(slot, 0, SLOT_ACTIVE);
		await this.control.addShape(this.assignment(slot, options));
	}

	/** Takes a batch and writes it; numbered on from the last one that succeeded, unless a number is given. */
	process(payload: readonly Buffer[], options: BatchOptions = {}): ProcessedGroup {
		this.take(payload, options);
		return must(this.flush(), "a batch was taken");
	}

	/** Takes a batch into the group that the next {@link flush} or {@link process} writes. */
	take(payload: readonly Buffer[], options: BatchOptions = {}): void {
		const sequence = options.sequence ?? this.#takenSequence + 1;
		const shared = batchOf(payload, { ...options, sequence });
		const view = new DataView(shared);
		const header = readBatchHeader(view, 0);
		if (this.processor.startsAnew(header)) {
			this.flush();
		}
		this.#orForget(() => this.processor.take(header, Buffer.from(shared), view, 0));
		this.#takenSequence = sequence;
	}

	/** Null when nothing was taken. */
	flush(): ProcessedGroup | null {
		if (!this.processor.isHolding) {
			return null;
		}
		const processed = this.#orForget(() => this.processor.flush());
		this.#sequence = processed.sequence;
		return processed;
	}

	/** A group that fails comes again from its first batch. */
	#orForget<T>(work: () => T): T {
		try {
			return work();
		} catch (error) {
			this.#takenSequence = this.#sequence;
			throw error;
		}
	}

	/** What readers may see of the shape's log: all segments up to the visible end. */
	visible(slot: number): LogItem[] {
		const state = this.table.logState(slot);
		const items: LogItem[] = [];
		for (let segment = 0; segment <= state.segment; segment += 1) {
			if (state.segmentEntries > 0 || segment < state.segment) {
				const bytes = readFileSync(logSegmentPath(`${this.#directory}/shape-${slot}`, segment));
				const end = segment === state.segment ? state.segmentBytes : bytes.length;
				items.push(...(JSON.parse(`[${bytes.toString("utf8", 0, end)}]`) as LogItem[]));
			}
		}
		return items;
	}
}

export interface LogItem {
	readonly key: string;
	readonly value: Readonly<Record<string, string | null>>;
	readonly old_value?: Readonly<Record<string, string | null>>;
	readonly headers: {
		readonly operation: string;
		readonly relation: readonly string[];
		readonly txids: readonly number[];
		readonly lsn: string;
		readonly op_position: number;
		readonly last?: true;
		readonly key_change_to?: string;
		readonly key_change_from?: string;
	};
}

/** `operation id@lsn_op` and `!` for the last of its transaction: what most tests compare. */
export function brief(item: LogItem): string {
	const { operation, lsn, op_position, last } = item.headers;
	return `${operation} ${item.value["id"]}@${lsn}_${op_position}${last === true ? "!" : ""}`;
}
