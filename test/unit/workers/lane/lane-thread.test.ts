/**
 * A lane as a thread: its entry, ports and timers, run in a worker as main runs it.
 */

import { once } from "node:events";
import { BroadcastChannel, MessageChannel, type MessagePort, Worker } from "node:worker_threads";
import { afterEach, describe, expect, it } from "vitest";
import { parseConfig } from "../../../../src/shared/config.ts";
import { type ControlClient, controlClient } from "../../../../src/shared/control-call.ts";
import type { Fault } from "../../../../src/shared/fault-points.ts";
import {
	type LaneOperatorControl,
	type LaneOutbound,
	type LaneResume,
	type LaneShapeControl,
	type LaneTask,
	type SlotsChanged,
	slotsChannelName,
} from "../../../../src/shared/messages.ts";
import type { ShapeAssignment } from "../../../../src/shared/shape-definition.ts";
import { ShapeTable } from "../../../../src/shared/shape-table.ts";
import { workerEntry } from "../../../../src/shared/thread-entry.ts";
import * as frames from "../../../support/pgoutput-frames.ts";
import { useTemporaryDirectory } from "../../../support/temporary-directory.ts";
import { waitFor } from "../../../support/wait-for.ts";
import {
	type BatchOptions,
	batchOf,
	definitionOf,
	EMPTY_SNAPSHOT,
	ITEMS,
	itemsRelation,
	transaction,
} from "./lane-fixture.ts";

const directory = useTemporaryDirectory("lane-thread");
const entry = new URL("./lane-runner.ts", import.meta.url);
const running: Worker[] = [];

afterEach(async () => {
	await Promise.all(running.splice(0).map((worker) => worker.terminate()));
});

class Harness {
	readonly table: ShapeTable;
	readonly worker: Worker;
	readonly data: MessagePort;
	readonly operator: ControlClient<LaneOperatorControl>;
	readonly registrar: ControlClient<LaneShapeControl>;
	readonly received: LaneOutbound[] = [];
	readonly slots: number[][] = [];
	readonly #waiting: { test(message: LaneOutbound): boolean; resolve(message: LaneOutbound): void }[] = [];
	readonly #channel: BroadcastChannel;

	constructor(options: { faults?: readonly Fault[]; table?: ShapeTable; resume?: Partial<LaneResume> } = {}) {
		this.table = options.table ?? ShapeTable.create();
		const [data, control, registrar, events] = [
			new MessageChannel(),
			new MessageChannel(),
			new MessageChannel(),
			new MessageChannel(),
		];
		const instanceId = `test-${Math.random()}`;
		this.#channel = new BroadcastChannel(slotsChannelName(instanceId));
		this.#channel.onmessage = (event: unknown) => {
			this.slots.push([...(event as { data: SlotsChanged }).data.slots]);
		};
		const task: LaneTask = {
			lane: 0,
			config: parseConfig({ SLUICE_LOG_LEVEL: "silent" }),
			instanceId,
			shapeTable: this.table.memory,
			segments: [],
			resume: { expectedSequence: 1, openTransaction: null, acknowledgedLsn: 0n, ...options.resume },
			faults: options.faults ?? [],
			dataPort: data.port2,
			controlPort: control.port2,
			registrarPort: registrar.port2,
			registrarEventPort: events.port2,
		};
		this.data = data.port1;
		this.data.on("message", (message: LaneOutbound) => {
			this.received.push(message);
			for (const waiter of this.#waiting.filter(({ test }) => test(message))) {
				this.#waiting.splice(this.#waiting.indexOf(waiter), 1);
				waiter.resolve(message);
			}
		});
		this.operator = controlClient(control.port1);
		this.registrar = controlClient(registrar.port1);
		this.worker = new Worker(entry, {
			workerData: { entry: workerEntry("lane"), task },
			transferList: [data.port2, control.port2, registrar.port2, events.port2],
		});
		running.push(this.worker);
	}

	/** The first message of the kind, past or to come. */
	async message<K extends LaneOutbound["kind"]>(kind: K): Promise<Extract<LaneOutbound, { kind: K }>> {
		const test = (message: LaneOutbound): boolean => message.kind === kind;
		const present = this.received.find(test);
		return (present ??
			(await new Promise<LaneOutbound>((resolve) => {
				this.#waiting.push({ test, resolve });
			}))) as Extract<LaneOutbound, { kind: K }>;
	}

	async written(sequence: number): Promise<void> {
		const test = (message: LaneOutbound): boolean => message.kind === "written" && message.sequence === sequence;
		if (!this.received.some(test)) {
			await new Promise<LaneOutbound>((resolve) => {
				this.#waiting.push({ test, resolve });
			});
		}
	}

	send(sequence: number, payload: readonly Buffer[], options: BatchOptions = {}): void {
		const dedicated = batchOf(payload, { ...options, sequence });
		this.data.postMessage({
			kind: "batch",
			sequence,
			segment: 0,
			dedicated,
			byteOffset: 0,
			byteLength: dedicated.byteLength,
		});
	}

	assignment(slot: number): ShapeAssignment {
		return {
			slot,
			generation: this.table.generation(slot),
			handle: `shape-${slot}`,
			directory: `${directory.path()}/${this.table.generation(slot)}-${slot}`,
			definition: definitionOf(),
			snapshot: null,
		};
	}

	async addSpliced(slot: number): Promise<void> {
		this.table.assign(slot, 0, 3);
		await this.registrar.addShape(this.assignment(slot));
		await this.registrar.spliceSnapshot(slot, this.table.generation(slot), EMPTY_SNAPSHOT);
	}

	close(): void {
		this.#channel.close();
		this.data.close();
	}
}

const insert = (id: string): Buffer => frames.insert(ITEMS, [id, "a", "t"]);

describe("a lane's thread", () => {
	it("becomes ready, writes, announces, checkpoints, and stops in order", async () => {
		const lane = new Harness();
		await lane.registrar.restore([]);
		expect((await lane.message("ready")).threadId).toBe(lane.worker.threadId);
		await lane.addSpliced(1);
		lane.send(1, [itemsRelation(), ...transaction(500n, 7, insert("1"))]);
		await lane.written(1);
		expect(lane.table.logState(1)).toMatchObject({ lastOffset: { tx: 500n, op: 2 } });
		expect(lane.table.processedLsn(0)).toBe(500n);
		expect(lane.table.isDirty(1)).toBe(true);
		const durable = await lane.message("durable");
		expect(durable).toEqual({ kind: "durable", lsn: 516n, streamEpoch: 1 });
		expect(lane.table.isDirty(1)).toBe(false);
		lane.send(2, [itemsRelation(), ...transaction(600n, 8, insert("2"))]);
		await lane.written(2);
		lane.data.postMessage({ kind: "stop" });
		await lane.message("stopped");
		await once(lane.worker, "exit");
		const order = lane.received.filter(({ kind }) => kind !== "sample").map(({ kind }) => kind);
		expect(order).toEqual(["ready", "written", "durable", "written", "durable", "stopped"]);
		expect(lane.received.filter(({ kind }) => kind === "durable").at(-1)).toMatchObject({ lsn: 616n });
		expect(lane.slots).toContainEqual([1]);
		lane.close();
	});

	it("reports a batch that touches no shape as durable at once", async () => {
		const lane = new Harness();
		await lane.registrar.restore([]);
		const startedMs = performance.now();
		lane.send(1, [itemsRelation(), ...transaction(500n, 7, insert("1"))]);
		expect(await lane.message("durable")).toMatchObject({ lsn: 516n });
		expect(performance.now() - startedMs).toBeLessThan(900);
		lane.close();
	});

	it("refuses a batch before its shapes are restored, drops the next, and takes both when they come again", async () => {
		const lane = new Harness();
		lane.send(1, transaction(500n, 7));
		lane.send(2, transaction(600n, 8));
		const failed = await lane.message("failed");
		expect(failed).toMatchObject({ sequence: 1, error: { code: "SLUICE_LANE_NOT_READY" } });
		await lane.registrar.restore([]);
		lane.send(1, transaction(500n, 7));
		lane.send(2, transaction(600n, 8));
		await lane.written(2);
		expect(lane.received.filter(({ kind }) => kind === "failed")).toHaveLength(1);
		lane.close();
	});

	it("reports a full disk and takes the batch when it comes again", async () => {
		const lane = new Harness({
			faults: [{ point: "lane.log.write", action: { kind: "fail", systemCode: "ENOSPC" } }],
		});
		await lane.registrar.restore([]);
		await lane.addSpliced(1);
		const batch = [itemsRelation(), ...transaction(500n, 7, insert("1"))];
		lane.send(1, batch);
		expect(await lane.message("failed")).toMatchObject({ error: { code: "SLUICE_DISK_FULL" } });
		lane.send(1, batch);
		await lane.written(1);
		expect(lane.table.logState(1).lastOffset.tx).toBe(500n);
		lane.close();
	});

	it("takes no batch while suspended and answers control calls meanwhile", async () => {
		const lane = new Harness();
		await lane.registrar.restore([]);
		await lane.operator.suspend();
		lane.send(1, [itemsRelation(), ...transaction(500n, 7, insert("1"))]);
		await lane.addSpliced(1);
		await lane.operator.suspend();
		expect(lane.received.some(({ kind }) => kind === "written")).toBe(false);
		await lane.operator.resume();
		await lane.written(1);
		expect(lane.table.logState(1).lastOffset.tx).toBe(500n);
		lane.close();
	});

	it("drops a shape whose log cannot be synced, and goes on", async () => {
		const lane = new Harness({
			faults: [{ point: "lane.checkpoint", action: { kind: "fail", systemCode: "EIO" } }],
		});
		await lane.registrar.restore([]);
		await lane.addSpliced(1);
		lane.send(1, [itemsRelation(), ...transaction(500n, 7, insert("1"))]);
		await waitFor("the shape is dropped", () => lane.table.invalidated(1) === 4);
		expect(lane.received.some(({ kind }) => kind === "durable")).toBe(false);
		await lane.registrar.removeShape(1, lane.table.generation(1));
		expect(await lane.message("durable")).toMatchObject({ lsn: 516n });
		lane.close();
	});

	it("is heir to a lane that crashed in a batch inside a transaction", async () => {
		const first = new Harness({ faults: [{ point: "lane.batch.written", skip: 1, action: { kind: "crash" } }] });
		await first.registrar.restore([]);
		await first.addSpliced(1);
		const assignment = { ...first.assignment(1), snapshot: EMPTY_SNAPSHOT };
		first.send(1, [itemsRelation(), frames.begin(500n, 7), insert("1")], { endsInside: true });
		await first.written(1);
		const batch = [itemsRelation(), insert("2"), frames.commit(500n, 516n)];
		const options = { open: { lsn: 500n, xid: 7, changes: 1 } };
		first.send(2, batch, options);
		await once(first.worker, "exit");
		first.close();
		const heir = new Harness({
			table: first.table,
			resume: { expectedSequence: 2, openTransaction: { finalLsn: 500n, changeCount: 1 } },
		});
		await heir.registrar.restore([assignment]);
		heir.send(2, batch, options);
		await heir.written(2);
		expect(heir.table.logState(1)).toMatchObject({ lastOffset: { tx: 500n, op: 4 }, segmentEntries: 2 });
		expect(await heir.message("durable")).toMatchObject({ lsn: 516n });
		expect(heir.table.isDirty(1)).toBe(false);
		heir.close();
	});

	it("reports batches that are written together once, and the first of them when they fail", async () => {
		const lane = new Harness({
			faults: [{ point: "lane.log.write", skip: 1, action: { kind: "fail", systemCode: "ENOSPC" } }],
		});
		await lane.registrar.restore([]);
		await lane.addSpliced(1);
		const send = (sequence: number): void =>
			lane.send(sequence, [itemsRelation(), ...transaction(BigInt(sequence) * 100n, sequence, insert("1"))]);
		send(1);
		await lane.written(1);
		await lane.operator.suspend();
		for (let sequence = 2; sequence <= 50; sequence += 1) {
			send(sequence);
		}
		await lane.operator.resume();
		const { sequence: first } = await lane.message("failed");
		const before = lane.received.filter(({ kind }) => kind === "written").length;
		for (let sequence = first; sequence <= 50; sequence += 1) {
			send(sequence);
		}
		await lane.written(50);
		expect(lane.received.filter(({ kind }) => kind === "written").length - before).toBeLessThan(25);
		expect(lane.table.logState(1)).toMatchObject({ lastOffset: { tx: 5_000n }, segmentEntries: 50 });
		lane.close();
	});

	it("reports batches from before a purge as written, and processes none of them", async () => {
		const lane = new Harness();
		await lane.registrar.restore([]);
		await lane.addSpliced(1);
		lane.send(1, [itemsRelation(), ...transaction(900n, 7, insert("1"))]);
		await lane.written(1);
		expect(lane.table.processedLsn(0)).toBe(900n);
		lane.data.postMessage({ kind: "purge", beforeEpoch: 2 });
		lane.send(2, [itemsRelation(), ...transaction(950n, 8, insert("2"))]);
		lane.send(3, [itemsRelation(), ...transaction(300n, 9, insert("3"))], { epoch: 2 });
		await lane.written(2);
		await lane.written(3);
		expect(lane.table.processedLsn(0)).toBe(300n);
		lane.close();
	});

	it("refuses to run on the main thread", async () => {
		await expect(import("../../../../src/workers/lane.ts")).rejects.toThrow(/runs in a worker thread/);
	});
});
