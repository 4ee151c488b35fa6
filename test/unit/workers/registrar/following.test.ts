/** Reading along from the start to the takeover, without a database: the catalogue and the logs are real files. */

import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { describe, expect, it } from "vitest";
import { shapeDirectory, shapesDirectory } from "../../../../src/shared/log-layout.ts";
import { createLogger } from "../../../../src/shared/logging.ts";
import { ShapeTable, SLOT_ACTIVE, SLOT_REMOVED } from "../../../../src/shared/shape-table.ts";
import { followLog } from "../../../../src/workers/log/log-follow.ts";
import { Catalogue } from "../../../../src/workers/registrar/catalogue.ts";
import type { StoredShape } from "../../../../src/workers/registrar/catalogue-rows.ts";
import { DataDirectory } from "../../../../src/workers/registrar/data-directory.ts";
import { Following } from "../../../../src/workers/registrar/following.ts";
import { shapeIdentity } from "../../../../src/workers/registrar/shape-identity.ts";
import type { ShapeRequests } from "../../../../src/workers/registrar/shape-request.ts";
import { Slots } from "../../../../src/workers/registrar/slots.ts";
import { temporaryDirectory } from "../../../support/temporary-directory.ts";
import { waitFor } from "../../../support/wait-for.ts";
import { append, storeOf, write } from "../log/log-fixture.ts";
import { column, table } from "./descriptions.ts";

function stored(handle: string): StoredShape {
	return {
		handle,
		identity: "ab".repeat(32),
		definition: {
			table: table({ columns: [column("id", { primaryKeyIndex: 0 })] }),
			where: null,
			selectedColumns: ["id"],
			columnsGiven: false,
			keyColumns: ["id"],
			hasPrimaryKey: true,
			replica: "default",
			log: "full",
		},
		schemaHeader: "{}",
		snapshot: { xmin: "1", xmax: "3", xipList: [], insertLsn: "99" },
		chunks: 1,
		requests: [],
	};
}

async function room(check?: ShapeRequests["check"]) {
	const temporary = await temporaryDirectory("following");
	const dataDir = temporary.path;
	await mkdir(shapesDirectory(dataDir), { recursive: true });
	const shapeTable = ShapeTable.create();
	const announced: number[] = [];
	const stopping = new AbortController();
	const directory = DataDirectory.open(dataDir);
	const cataloguePath = join(dataDir, "catalogue.sqlite");
	const following = new Following({
		directory,
		cataloguePath,
		followLog: (path, acknowledgedLsn) => followLog(path, acknowledgedLsn, 1_000_000),
		slots: new Slots(),
		announcer: { changed: (slot) => announced.push(slot) },
		requests: { check } as ShapeRequests,
		table: shapeTable,
		dataDir,
		laneCount: 1,
		onCount: () => undefined,
		logger: createLogger("silent", "registrar"),
		signal: stopping.signal,
	});
	return {
		dataDir,
		cataloguePath,
		shapeTable,
		announced,
		stopping,
		following,
		async [Symbol.asyncDispose]() {
			stopping.abort();
			await following.close();
			directory.close();
			await temporary.remove();
		},
	};
}

describe("following another daemon", () => {
	it("shows what the writer adds, appends and removes, and ends up where that one ended", async () => {
		await using files = await room();
		const { dataDir, shapeTable, following, announced } = files;
		const writer = DataDirectory.open(dataDir);
		expect(writer.tryLock()).toBe(true);
		following.start();
		const ours = following.untilOurs();
		const catalogue = new Catalogue(files.cataloguePath, shapesDirectory(dataDir));
		catalogue.open();
		const store = storeOf();
		const log = store.create(shapeDirectory(dataDir, "1-1"));
		append(store, log, 100, ["a"]);
		write(store, log);
		await catalogue.addShape(stored("1-1"));
		const shape = await following.shapes.findHandle("1-1");
		const slot = shape?.slot ?? -1;
		expect(shapeTable.state(slot)).toBe(SLOT_ACTIVE);
		expect(shapeTable.logState(slot)).toEqual(log.visibleState());

		append(store, log, 200, ["b"]);
		write(store, log);
		announced.length = 0;
		await waitFor("the news to be announced", () => announced.includes(slot));
		expect(shapeTable.logState(slot).lastOffset).toEqual({ tx: 200n, op: 2 });

		append(store, log, 300, ["c"]);
		write(store, log);
		catalogue.close();
		writer.close();
		await ours;
		await following.finish();
		expect(shapeTable.logState(slot)).toEqual(log.visibleState());
		expect(following.shapes.all().map(({ handle, generation }) => ({ handle, generation }))).toEqual([
			{ handle: "1-1", generation: shape?.generation },
		]);
		store.releaseAll();
	});

	it("tells readers of a shape that the writer has ended, also when they find its files gone first", async () => {
		await using files = await room();
		const { dataDir, shapeTable, following } = files;
		const catalogue = new Catalogue(files.cataloguePath, shapesDirectory(dataDir));
		catalogue.open();
		await catalogue.addShape(stored("1-1"));
		// No look of its own: only what requests ask for.
		const shape = await following.shapes.findHandle("1-1");
		const { slot, generation } = shape ?? { slot: -1, generation: -1 };
		await expect(following.shapes.reportCorrupt("1-1", generation)).rejects.toMatchObject({
			code: "SLUICE_NOT_ACTIVE",
		});
		await catalogue.removeShape("1-1");
		await following.shapes.reportCorrupt("1-1", generation);
		expect(shapeTable.state(slot)).toBe(SLOT_REMOVED);
		expect(await following.shapes.findHandle("1-1")).toBeNull();
		catalogue.close();
	});

	it("waits for a catalogue that is being made, and refuses one of another format", async () => {
		await using early = await room();
		await writeFile(early.cataloguePath, "half a page ".repeat(50));
		early.following.start();
		await using other = await room();
		const catalogue = new Catalogue(other.cataloguePath, shapesDirectory(other.dataDir));
		catalogue.open();
		catalogue.close();
		const raw = new DatabaseSync(other.cataloguePath);
		raw.exec("UPDATE meta SET value = '99' WHERE key = 'format_version'");
		raw.close();
		expect(() => other.following.start()).toThrowError(
			expect.objectContaining({ code: "SLUICE_CATALOGUE_UNREADABLE" }),
		);
	});

	it("lets a request that began before the takeover change nothing after it", async () => {
		const asked = Promise.withResolvers<void>();
		const { definition } = stored("2-2");
		await using files = await room(() => asked.promise.then(() => definition));
		const { dataDir, shapeTable, following } = files;
		const catalogue = new Catalogue(files.cataloguePath, shapesDirectory(dataDir));
		catalogue.open();
		await catalogue.addShape(stored("1-1"));
		const shape = await following.shapes.findHandle("1-1");
		const request = { table: "t", where: null, params: {}, columns: null, replica: "default", log: "full" } as const;
		const under = following.shapes.resolveShape(request);
		await following.finish();
		// From here on this process writes: it ends one shape and makes another of the same definition.
		await catalogue.removeShape("1-1");
		await catalogue.addShape({ ...stored("2-2"), identity: shapeIdentity(definition) });
		asked.resolve();
		await expect(under).rejects.toMatchObject({ code: "SLUICE_NOT_ACTIVE" });
		expect(following.shapes.all().map(({ handle }) => handle)).toEqual(["1-1"]);
		// Not withdrawn, which would give its place in the table to two others.
		expect(shapeTable.state(shape?.slot ?? -1)).toBe(SLOT_ACTIVE);
		catalogue.close();
	});

	it("stops waiting when the registrar stops", async () => {
		await using files = await room();
		const writer = DataDirectory.open(files.dataDir);
		writer.tryLock();
		const ours = files.following.untilOurs();
		files.stopping.abort();
		await expect(ours).rejects.toMatchObject({ code: "SLUICE_NOT_ACTIVE" });
		writer.close();
	});
});
