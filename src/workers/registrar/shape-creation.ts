/**
 * The steps from a registered slot to a complete shape: directory, table, lane, snapshot, splice, chunks,
 * catalogue. Owns their order, which is what makes initial data and stream meet without a hole; must never
 * decide that a shape exists or is removed. Called by shapes. Source: replication.md 5.4.
 */

import { mkdir } from "node:fs/promises";
import { must } from "../../shared/assert.ts";
import { SluiceError } from "../../shared/errors.ts";
import type { ShapeAssignment, SnapshotInfo, TableInfo } from "../../shared/shape-definition.ts";
import { type ShapeTable, SLOT_ACTIVE, SLOT_SNAPSHOTTING } from "../../shared/shape-table.ts";
import { backoffMs, waitMs } from "./backoff.ts";
import type { Catalogue } from "./catalogue.ts";
import type { Continuity, Unseen } from "./continuity.ts";
import type { Inspector } from "./inspector.ts";
import type { LaneConnection, Lanes } from "./lanes.ts";
import type { Publication } from "./publication.ts";
import type { Shape } from "./shape-registry.ts";
import { needsGeneratedColumns } from "./shape-request.ts";
import type { SlotAnnouncer } from "./slots.ts";
import type { Snapshots } from "./snapshots.ts";
import { tableDrift } from "./table-drift.ts";

/** A snapshot that cannot be joined to the stream is taken again; how long that may go on. */
const RETAKE_BUDGET_MS = 45_000;
/**
 * Readers are let in when the first chunk is written, so that a query or a disk that fails at once is answered with its
 * error (a 409 would send clients round and round); or after this long, so that a long scan does not keep them from
 * waiting for its first chunk.
 */
const FIRST_ROW_WAIT_MS = 1_000;
const RETAKE_BACKOFF = { firstMs: 100, maxMs: 2_000 };

export interface CreationRooms {
	readonly table: ShapeTable;
	readonly announcer: SlotAnnouncer;
	readonly lanes: Lanes;
	readonly publication: Publication;
	readonly inspector: Pick<Inspector, "fresh">;
	readonly snapshots: Snapshots;
	readonly continuity: Continuity;
	readonly catalogue: Catalogue;
}

export class ShapeCreation {
	readonly #rooms: CreationRooms;

	constructor(rooms: CreationRooms) {
		this.#rooms = rooms;
	}

	/**
	 * Builds the shape. Throws when anything fails; the caller removes what there is then.
	 * @param onReady called when readers may read
	 */
	async build(shape: Shape, onReady: () => void): Promise<void> {
		const { publication, lanes, catalogue, table } = this.#rooms;
		await mkdir(shape.directory, { recursive: true });
		const ready = publication.tableReady(shape.definition.table, needsGeneratedColumns(shape.definition));
		await untilAborted(ready, shape.abort.signal).catch(async (error: unknown) => {
			if (error instanceof SluiceError && error.code === "SLUICE_TABLE_NOT_READY") {
				// Perhaps only because it is another table by now.
				await this.#confirmTable(shape);
			}
			throw error;
		});
		shape.abort.signal.throwIfAborted();
		const connection = await lanes.ready(shape.lane);
		shape.connection = connection;
		await connection.control.addShape(assignmentOf(shape));
		shape.abort.signal.throwIfAborted();
		const { chunks, snapshot } = await this.#snapshot(shape, connection, onReady);
		shape.snapshot = snapshot;
		table.setSnapshotProgress(shape.slot, chunks, true);
		this.#rooms.announcer.changed(shape.slot);
		await catalogue.addShape({
			handle: shape.handle,
			identity: shape.identity,
			definition: shape.definition,
			schemaHeader: shape.schemaHeader,
			snapshot,
			chunks,
			requests: [...shape.requests],
		});
		shape.abort.signal.throwIfAborted();
		if (lanes.current(shape.lane) !== connection) {
			throw new SluiceError("SLUICE_NOT_ACTIVE", { lane: shape.lane });
		}
		shape.state = "active";
		table.setState(shape.slot, SLOT_ACTIVE);
		this.#rooms.announcer.changed(shape.slot);
	}

	/**
	 * The definition was made from a description that may have been a moment old. A shape on a table that was made anew
	 * since would get none of its changes.
	 */
	async #confirmTable({ definition }: Shape): Promise<void> {
		const drift = tableDrift(definition, await this.#rooms.inspector.fresh(definition.table));
		if (drift === "printed") {
			this.#rooms.publication.awaitWriters(definition.table.oid);
		}
		if (drift !== null) {
			throw new SluiceError("SLUICE_TABLE_CHANGED", { drift });
		}
	}

	async #snapshot(
		shape: Shape,
		connection: LaneConnection,
		onReady: () => void,
	): Promise<{ readonly chunks: number; readonly snapshot: SnapshotInfo }> {
		const { table, announcer, snapshots, continuity } = this.#rooms;
		let missing: readonly Unseen[] | null = [];
		const deadline = performance.now() + RETAKE_BUDGET_MS;
		for (let attempt = 0; ; attempt += 1) {
			let taken: SnapshotInfo | null = null;
			let patience: NodeJS.Timeout | undefined;
			const result = await snapshots
				.take({
					directory: shape.directory,
					definition: shape.definition,
					signal: shape.abort.signal,
					splice: async (snapshot) => {
						// The snapshot's transaction holds the table: what is seen now is what it reads.
						await this.#confirmTable(shape);
						missing = await continuity.missing(connection, snapshot);
						if (missing === null || missing.length > 0) {
							return "retake";
						}
						const verdict = await connection.control.spliceSnapshot(shape.slot, shape.generation, snapshot);
						if (verdict === "spliced" && !shape.abort.signal.aborted) {
							taken = snapshot;
							table.setState(shape.slot, SLOT_SNAPSHOTTING);
							announcer.changed(shape.slot);
							patience = setTimeout(onReady, FIRST_ROW_WAIT_MS);
						}
						return verdict;
					},
					onReading: () => {},
					onProgress: (chunks) => {
						if (shape.state === "creating" && !table.snapshotFinished(shape.slot)) {
							table.setSnapshotProgress(shape.slot, chunks, false);
							announcer.changed(shape.slot);
							onReady();
						}
					},
				})
				.finally(() => clearTimeout(patience));
			shape.abort.signal.throwIfAborted();
			if (result.kind === "finished") {
				onReady();
				return { chunks: result.chunks, snapshot: must<SnapshotInfo>(taken, "a finished snapshot was spliced") };
			}
			if (performance.now() >= deadline) {
				throw new SluiceError("SLUICE_SNAPSHOT_FAILED", {
					sqlState: null,
					serverMessage: retakenTooLong(missing),
				});
			}
			await waitMs(backoffMs(attempt, RETAKE_BACKOFF, Math.random()), shape.abort.signal);
		}
	}
}

function retakenTooLong(missing: readonly Unseen[] | null): string {
	if (missing === null || missing.length === 0) {
		return "Snapshot query took too long to start reading from the database";
	}
	const named = missing.map(({ xid, pid }) =>
		pid === null ? `transaction ${xid}` : `transaction ${xid} (pid ${pid})`,
	);
	return `Snapshot timed out while waiting for transactions that may wait for a synchronous standby: ${named.join(", ")}`;
}

export function assignmentOf(shape: Shape): ShapeAssignment {
	return {
		slot: shape.slot,
		generation: shape.generation,
		handle: shape.handle,
		directory: shape.directory,
		definition: { ...shape.definition, table: forLanes(shape.definition.table) },
		snapshot: shape.snapshot,
	};
}

/** One object for each table, so that a message with many shapes carries it once. */
const tablesForLanes = new WeakMap<TableInfo, TableInfo>();

/** Lanes hold a copy for each shape, and compare no fingerprints. */
function forLanes(table: TableInfo): TableInfo {
	const known = tablesForLanes.get(table);
	if (known !== undefined) {
		return known;
	}
	const { fingerprint: _, ...rest } = table;
	tablesForLanes.set(table, rest);
	return rest;
}

/** The promise, or the reason of the abort: a removed shape must not wait for somebody's writers. */
function untilAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
	return new Promise((resolve, reject) => {
		const aborted = (): void => reject(signal.reason);
		if (signal.aborted) {
			aborted();
		}
		signal.addEventListener("abort", aborted);
		promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", aborted));
	});
}
