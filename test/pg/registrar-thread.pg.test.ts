/**
 * The registrar in its own thread, as main starts it, and under random interleavings in this one.
 */

import { randomUUID } from "node:crypto";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import { MessageChannel, Worker } from "node:worker_threads";
import { describe, expect, it } from "vitest";
import { parseConfig } from "../../src/shared/config.ts";
import { controlClient, withTransfer } from "../../src/shared/control-call.ts";
import type { RegistrarControl, RegistrarEvent, RegistrarShapeControl } from "../../src/shared/messages.ts";
import { ShapeTable, SLOT_ACTIVE, SLOT_REMOVED } from "../../src/shared/shape-table.ts";
import { workerEntry } from "../../src/shared/thread-entry.ts";
import { oneTestServer, uniqueName, useServer } from "../support/postgres.ts";
import { Random } from "../support/random.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";
import { waitFor } from "../support/wait-for.ts";
import { createPublication, FakeLane, shapeRequest, TestRegistrar } from "./registrar-setup.ts";

describe("the registrar", () => {
	const server = useServer(oneTestServer());

	it("works as a thread: main, a lane and an HTTP thread talk to it over ports, and it ends by itself", async () => {
		await using database = await server.createDatabase();
		await using directory = await temporaryDirectory("registrar");
		const streamId = uniqueName("s");
		await createPublication(database, streamId);
		await database.sql("create table items (id int primary key); insert into items values (1)");
		const config = parseConfig({
			DATABASE_URL: database.url,
			SLUICE_DATA_DIR: directory.path,
			SLUICE_STREAM_ID: streamId,
			SLUICE_LOG_LEVEL: "silent",
		});
		const table = ShapeTable.create();
		const control = new MessageChannel();
		const events = new MessageChannel();
		const received: RegistrarEvent[] = [];
		events.port1.on("message", (event: RegistrarEvent) => received.push(event));
		const worker = new Worker(new URL(workerEntry("registrar")), {
			workerData: {
				config,
				instanceId: randomUUID(),
				shapeTable: table.memory,
				controlPort: control.port2,
				eventPort: events.port2,
			},
			transferList: [control.port2, events.port2],
		});
		const exited = new Promise((resolve) => worker.once("exit", resolve));
		const registrar = controlClient<RegistrarControl>(control.port1);
		expect(await registrar.open()).toEqual({ role: "writer", position: null, shapeCount: 0 });
		const lane = new FakeLane(table);
		const ports = lane.start();
		await registrar.attachLane(withTransfer({ lane: 0, ...ports }, [ports.control, ports.events]));
		await registrar.acquireLock();
		await registrar.reconcilePosition({
			systemIdentifier: "7",
			timeline: 1,
			slotName: "s",
			slotCreated: true,
			confirmedFlushLsn: 5n,
			walLsn: 100n,
			timelineHistory: [],
		});
		await registrar.storeAcknowledged(9n);
		const http = new MessageChannel();
		await registrar.attachHttp(withTransfer({ port: http.port2 }, [http.port2]));
		const shapes = controlClient<RegistrarShapeControl>(http.port1);
		const shape = await shapes.resolveShape(shapeRequest({ table: "items" }));
		await waitFor("the shape to be complete", () => table.state(shape.slot) === SLOT_ACTIVE);
		expect(await shapes.findHandle(shape.handle)).toEqual(shape);
		await expect(shapes.resolveShape(shapeRequest({ table: "nothing" }))).rejects.toMatchObject({
			code: "SLUICE_REQUEST_INVALID",
			context: { errors: { table: [expect.stringContaining("does not exist")] } },
		});
		await expect(shapes.deleteShape({ definition: null, handle: null })).rejects.toMatchObject({
			context: { errors: { handle: ["can't be blank when shape definition is missing"] } },
		});
		await expect(shapes.deleteShape({ definition: null, handle: "1-1" })).rejects.toMatchObject({
			code: "SLUICE_SHAPE_UNKNOWN",
		});
		await expect(
			shapes.deleteShape({ definition: shapeRequest({ table: "public.items" }), handle: "1-1" }),
		).rejects.toMatchObject({ code: "SLUICE_REQUEST_INVALID" });
		await shapes.deleteShape({ definition: shapeRequest({ table: "public.items" }), handle: shape.handle });
		expect(table.state(shape.slot)).toBe(SLOT_REMOVED);
		await waitFor("a sample", () => received.some((event) => event.kind === "sample"));
		expect(received).toContainEqual({ kind: "database", reachable: true, problem: null });
		expect(received).toContainEqual({ kind: "shapes", count: 1 });
		await registrar.stop();
		expect(await exited).toBe(0);
		lane.die();
	});

	it.each([1, 2, 3, 4])(
		"ends consistent after requests, deletions, invalidations and lane deaths in random order (seed %i)",
		async (seed) => {
			await using database = await server.createDatabase();
			await using directory = await temporaryDirectory("registrar");
			const streamId = uniqueName("s");
			await createPublication(database, streamId);
			await database.sql("create table items (id int primary key); insert into items select generate_series(1, 100)");
			const setup = { database, dataDir: directory.path, streamId };
			const source = new Random(seed);
			const random = (): number => source.fraction();
			const registrar = await TestRegistrar.start(setup);
			const { shapes } = registrar.registrar;
			registrar.lane.onSplice = async () => {
				registrar.lane.verdicts.push(random() < 0.2 ? "retake" : "spliced");
				await nextTurn();
			};
			const allowed = new Set([
				"SLUICE_NOT_ACTIVE",
				"SLUICE_SHAPE_GONE",
				"SLUICE_SHAPE_UNKNOWN",
				"SLUICE_SNAPSHOT_FAILED",
			]);
			const unexpected: unknown[] = [];
			const tolerate = (error: unknown): void => {
				if (!(error instanceof Error && "code" in error && allowed.has(String(error.code)))) {
					unexpected.push(error);
				}
			};
			const pending: Promise<unknown>[] = [];
			for (let step = 0; step < 300; step += 1) {
				const action = random();
				const some = shapes.all()[Math.floor(random() * shapes.count)];
				const definition = shapeRequest({ table: "items", where: `id > ${Math.floor(random() * 12)}` });
				if (action < 0.6) {
					pending.push(shapes.resolveShape(definition).catch(tolerate));
				} else if (action < 0.75) {
					pending.push(shapes.deleteShape({ definition, handle: null }).catch(tolerate));
				} else if (action < 0.85 && some !== undefined) {
					registrar.lane.emit({ kind: "invalidated", slot: some.slot, generation: some.generation, reason: 1 });
				} else if (action < 0.88) {
					registrar.lane.die();
					await registrar.attach();
				} else if (action < 0.89) {
					pending.push(registrar.reconcile({ slotCreated: true }).catch(tolerate));
				}
				if (random() < 0.5) {
					await nextTurn();
				}
				if (random() < 0.05) {
					await Promise.race(pending);
				}
			}
			await Promise.all(pending);
			expect(unexpected).toEqual([]);
			await waitFor("every shape to be complete", () => shapes.all().every((shape) => shape.state === "active"));
			await shapes.settled();
			const live = shapes.all();
			for (const shape of live) {
				expect(registrar.table.state(shape.slot)).toBe(SLOT_ACTIVE);
				expect(registrar.table.generation(shape.slot)).toBe(shape.generation);
			}
			expect(new Set(live.map((shape) => shape.slot)).size).toBe(live.length);
			const handles = live.map((shape) => shape.handle).sort();
			expect(readdirSync(join(directory.path, "shapes")).sort()).toEqual(handles);
			await registrar.registrar.stop();
			registrar.lane.die();
			await using again = await TestRegistrar.create(setup);
			expect((await again.registrar.open()).shapeCount).toBe(live.length);
			expect(
				again.registrar.shapes
					.all()
					.map((shape) => shape.handle)
					.sort(),
			).toEqual(handles);
		},
	);
});
