/**
 * A registrar for tests, in the test's own thread, with a fake lane on the other end of its ports. Owns what it
 * starts; the snapshot pool is the real one. Called by registrar*.pg.test.ts.
 */

import { randomUUID } from "node:crypto";
import { readFile } from "node:fs/promises";
import { MessageChannel, type MessagePort } from "node:worker_threads";
import { type Config, parseConfig } from "../../src/shared/config.ts";
import { exposeControl } from "../../src/shared/control-call.ts";
import { snapshotChunkPath } from "../../src/shared/log-layout.ts";
import { createLogger } from "../../src/shared/logging.ts";
import type {
	LaneEvent,
	LaneShapeControl,
	LinkFacts,
	RegistrarEvent,
	ResolvedShape,
	ShapeRequest,
} from "../../src/shared/messages.ts";
import type { ShapeAssignment, SnapshotInfo } from "../../src/shared/shape-definition.ts";
import { ShapeTable, SLOT_ACTIVE } from "../../src/shared/shape-table.ts";
import { followLog } from "../../src/workers/log/log-follow.ts";
import { Registrar } from "../../src/workers/registrar/registrar.ts";
import { loadWhereParser } from "../../src/workers/where/where-parser.ts";
import type { TestDatabase } from "../support/postgres.ts";
import { waitFor } from "../support/wait-for.ts";

/** A lane that remembers what it was told and publishes empty logs. */
export class FakeLane implements LaneShapeControl {
	readonly table: ShapeTable;
	readonly restored: ShapeAssignment[] = [];
	readonly added: ShapeAssignment[] = [];
	readonly spliced: { readonly slot: number; readonly snapshot: SnapshotInfo }[] = [];
	readonly opened: number[] = [];
	readonly removed: number[] = [];
	/** What the next splices answer; "spliced" when empty. */
	readonly verdicts: ("spliced" | "retake")[] = [];
	/** Runs before a splice is answered. */
	onSplice: (slot: number) => Promise<void> = async () => {};
	onAdd: (slot: number) => Promise<void> = async () => {};
	#control: MessagePort | null = null;
	#events: MessagePort | null = null;

	constructor(table: ShapeTable) {
		this.table = table;
	}

	/** Starts a life of the lane: the ports for attachLane. */
	start(): { readonly control: MessagePort; readonly events: MessagePort } {
		const control = new MessageChannel();
		const events = new MessageChannel();
		this.#control = control.port1;
		this.#events = events.port1;
		exposeControl(
			{
				restore: (assignments: readonly ShapeAssignment[]) => this.restore(assignments),
				addShape: (assignment: ShapeAssignment) => this.addShape(assignment),
				spliceSnapshot: (slot: number, generation: number, snapshot: SnapshotInfo) =>
					this.spliceSnapshot(slot, generation, snapshot),
				openShape: (slot: number) => this.openShape(slot),
				removeShape: (slot: number) => this.removeShape(slot),
			},
			control.port1,
		);
		return { control: control.port2, events: events.port2 };
	}

	/** Ends the life, as the death of the thread does. */
	die(): void {
		this.#control?.close();
		this.#events?.close();
	}

	emit(event: LaneEvent): void {
		this.#events?.postMessage(event);
	}

	async restore(assignments: readonly ShapeAssignment[]): Promise<void> {
		this.restored.push(...assignments);
	}

	async addShape(assignment: ShapeAssignment): Promise<void> {
		this.added.push(assignment);
		await this.onAdd(assignment.slot);
	}

	async spliceSnapshot(slot: number, _generation: number, snapshot: SnapshotInfo): Promise<"spliced" | "retake"> {
		this.spliced.push({ slot, snapshot });
		await this.onSplice(slot);
		const verdict = this.verdicts.shift() ?? "spliced";
		if (verdict === "spliced") {
			this.#publishEmpty(slot);
		}
		return verdict;
	}

	async openShape(slot: number): Promise<void> {
		this.opened.push(slot);
		this.#publishEmpty(slot);
	}

	async removeShape(slot: number): Promise<void> {
		this.removed.push(slot);
	}

	#publishEmpty(slot: number): void {
		this.table.publishLog(slot, {
			opened: true,
			lastOffset: { tx: 0n, op: 0 },
			segment: 0,
			segmentBytes: 0,
			segmentEntries: 0,
		});
	}
}

export interface RegistrarSetup {
	readonly database: TestDatabase;
	readonly dataDir: string;
	readonly streamId: string;
	readonly environment?: Readonly<Record<string, string>>;
	readonly databaseUrl?: string;
	readonly facts?: Partial<LinkFacts>;
}

/** A registrar that is open, holds the lock, knows its position and has one lane. */
export class TestRegistrar implements AsyncDisposable {
	readonly config: Config;
	readonly table: ShapeTable;
	readonly lane: FakeLane;
	readonly registrar: Registrar;
	readonly events: RegistrarEvent[] = [];
	readonly fatal: unknown[] = [];
	readonly instanceId = randomUUID();
	readonly #setup: RegistrarSetup;

	private constructor(setup: RegistrarSetup, whereParser: Awaited<ReturnType<typeof loadWhereParser>>) {
		this.#setup = setup;
		this.config = parseConfig({
			DATABASE_URL: setup.databaseUrl ?? setup.database.url,
			SLUICE_DATA_DIR: setup.dataDir,
			SLUICE_STREAM_ID: setup.streamId,
			...setup.environment,
		});
		this.table = ShapeTable.create();
		this.lane = new FakeLane(this.table);
		this.registrar = new Registrar({
			init: { config: this.config, instanceId: this.instanceId, shapeTable: this.table.memory },
			whereParser,
			followLog: (directory, acknowledgedLsn) => followLog(directory, acknowledgedLsn, this.config.chunkBytes),
			logger: createLogger("silent", "registrar"),
			onEvent: (event) => this.events.push(event),
			onFatal: (error) => this.fatal.push(error),
		});
	}

	get readable(): Registrar["readable"] {
		return this.registrar.readable;
	}

	/** Not opened yet. */
	static async create(setup: RegistrarSetup): Promise<TestRegistrar> {
		return new TestRegistrar(setup, await loadWhereParser());
	}

	static async start(setup: RegistrarSetup): Promise<TestRegistrar> {
		const started = await TestRegistrar.create(setup);
		await started.registrar.open();
		await started.attach();
		await started.registrar.acquireLock();
		await started.reconcile(setup.facts ?? {});
		return started;
	}

	async attach(): Promise<void> {
		await this.registrar.attachLane({ lane: 0, ...this.lane.start() });
	}

	reconcile(facts: Partial<LinkFacts>): Promise<{ readonly startLsn: bigint; readonly purged: boolean }> {
		return this.registrar.reconcilePosition({
			systemIdentifier: "7000000000000000001",
			timeline: 1,
			slotName: `sluice_slot_${this.#setup.streamId}`,
			slotCreated: false,
			confirmedFlushLsn: 1000n,
			walLsn: 1_000_000n,
			timelineHistory: [],
			...facts,
		});
	}

	resolve(request: Partial<ShapeRequest> & { readonly table: string }): Promise<ResolvedShape> {
		return this.registrar.shapes.resolveShape(shapeRequest(request));
	}

	/** Resolves, and waits until the shape is complete. */
	async complete(request: Partial<ShapeRequest> & { readonly table: string }): Promise<ResolvedShape> {
		const resolved = await this.resolve(request);
		await waitFor("the shape to be complete", () => this.table.state(resolved.slot) === SLOT_ACTIVE);
		return resolved;
	}

	/** The items of the snapshot, parsed, chunk after chunk. */
	async snapshot(shape: ResolvedShape): Promise<SnapshotItem[][]> {
		const chunks: SnapshotItem[][] = [];
		for (let chunk = 0; chunk < this.table.snapshotChunks(shape.slot); chunk += 1) {
			chunks.push(JSON.parse(`[${await readFile(snapshotChunkPath(shape.directory, chunk), "utf8")}]`));
		}
		return chunks;
	}

	/** The rows of the snapshot, without its end marker. */
	async rows(shape: ResolvedShape): Promise<Record<string, string | null>[]> {
		const items = (await this.snapshot(shape)).flat();
		return items.flatMap((item) => (item.value === undefined ? [] : [item.value]));
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await this.registrar.stop();
		this.lane.die();
	}
}

export interface SnapshotItem {
	readonly key?: string;
	readonly value?: Record<string, string | null>;
	readonly headers: Readonly<Record<string, unknown>>;
}

export function shapeRequest(request: Partial<ShapeRequest> & { readonly table: string }): ShapeRequest {
	return { where: null, params: {}, columns: null, replica: "default", log: "full", ...request };
}

/** The publication as the link's handshake makes it. */
export async function createPublication(database: TestDatabase, streamId: string): Promise<void> {
	const [row] = await database.sql<{ version: number }>("select current_setting('server_version_num')::int as version");
	const options = (row?.version ?? 0) >= 180_000 ? " with (publish_generated_columns = stored)" : "";
	await database.sql(`create publication sluice_publication_${streamId}${options}`);
}
