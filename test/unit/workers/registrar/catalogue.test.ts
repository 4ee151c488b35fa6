/**
 * What the catalogue remembers, and that it says so when it cannot be read.
 */

import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { describe, expect, it } from "vitest";
import type { ShapeDefinition, TableInfo } from "../../../../src/shared/shape-definition.ts";
import { Catalogue } from "../../../../src/workers/registrar/catalogue.ts";
import type { StoredShape } from "../../../../src/workers/registrar/catalogue-rows.ts";
import { temporaryDirectory } from "../../../support/temporary-directory.ts";
import { column, table } from "./descriptions.ts";

const ITEMS: TableInfo = table({ columns: [column("id", { primaryKeyIndex: 0 }), column("title")] });

function definition(change: Partial<ShapeDefinition> = {}): ShapeDefinition {
	return {
		table: ITEMS,
		where: null,
		selectedColumns: ["id", "title"],
		columnsGiven: false,
		keyColumns: ["id"],
		hasPrimaryKey: true,
		replica: "default",
		log: "full",
		...change,
	};
}

function stored(handle: string, change: Partial<StoredShape> = {}): StoredShape {
	return {
		handle,
		identity: `identity of ${handle}`,
		definition: definition(),
		schemaHeader: "{}",
		snapshot: { xmin: "1", xmax: "3", xipList: ["2"], insertLsn: "99" },
		chunks: 2,
		requests: [],
		...change,
	};
}

async function room() {
	const directory = await temporaryDirectory("catalogue");
	const shapes = join(directory.path, "shapes");
	await mkdir(shapes);
	const path = join(directory.path, "catalogue.sqlite");
	const open = (): Catalogue => {
		const catalogue = new Catalogue(path, shapes);
		catalogue.open();
		return catalogue;
	};
	return { directory, path, open, [Symbol.asyncDispose]: () => directory.remove() };
}

describe("the catalogue", () => {
	it("holds shapes with everything that belongs to them, tables once", async () => {
		await using files = await room();
		const first = files.open();
		const one = stored("1-1", { requests: ["r1", "r2"] });
		const two = stored("2-2", { definition: definition({ replica: "full" }), chunks: 7 });
		await Promise.all([first.addShape(one), first.addShape(two), first.addRequest("r3", "2-2")]);
		await first.addRequest("r4", "gone");
		first.close();
		const second = files.open();
		const shapes = second.shapes().sort((left, right) => (left.handle < right.handle ? -1 : 1));
		expect(shapes).toEqual([one, { ...two, requests: ["r3"] }]);
		expect(shapes[0]?.definition.table).toBe(shapes[1]?.definition.table);
		await second.removeShape("1-1");
		second.close();
		const third = files.open();
		expect(third.shapes().map((shape) => shape.handle)).toEqual(["2-2"]);
		await third.removeShape("2-2");
		third.close();
		const raw = new DatabaseSync(files.path);
		expect(raw.prepare("SELECT count(*) AS n FROM tables").get()).toEqual({ n: 0 });
		expect(raw.prepare("SELECT count(*) AS n FROM requests").get()).toEqual({ n: 0 });
		raw.close();
	});

	it("leads a request to the shape that it was given last", async () => {
		await using files = await room();
		const catalogue = files.open();
		await catalogue.addShape(stored("1-1", { requests: ["r"] }));
		await catalogue.addShape(stored("2-2", { requests: ["r"] }));
		const byHandle = new Map(catalogue.shapes().map((shape) => [shape.handle, shape.requests]));
		expect(byHandle).toEqual(
			new Map([
				["1-1", []],
				["2-2", ["r"]],
			]),
		);
		catalogue.close();
	});

	it("replaces a removed shape of the same definition whose removal is still to come", async () => {
		await using files = await room();
		const catalogue = files.open();
		await catalogue.addShape(stored("1-1", { requests: ["r"] }));
		await catalogue.addShape(stored("2-2", { identity: "identity of 1-1" }));
		await catalogue.removeShape("1-1");
		expect(catalogue.shapes().map((shape) => shape.handle)).toEqual(["2-2"]);
		catalogue.close();
	});

	it("rejects a whole group when one change fails, goes on afterwards, and not after the end", async () => {
		await using files = await room();
		const catalogue = files.open();
		const broken = { xmin: 1n } as never;
		const outcomes = await Promise.allSettled([
			catalogue.addShape(stored("1-1")),
			catalogue.addShape(stored("2-2", { snapshot: broken })),
		]);
		expect(outcomes.map((outcome) => outcome.status)).toEqual(["rejected", "rejected"]);
		await catalogue.addShape(stored("1-1"));
		expect(catalogue.shapes()).toHaveLength(1);
		catalogue.close();
		await expect(catalogue.addShape(stored("3-3"))).rejects.toMatchObject({ code: "SLUICE_NOT_ACTIVE" });
	});

	it("holds a position with 64 unsigned bits, and which tables are ready", async () => {
		await using files = await room();
		const first = files.open();
		expect(first.position()).toBeNull();
		const position = { systemIdentifier: "7", timeline: 3, slotName: "s", acknowledgedLsn: 0xffff_ffff_ffff_fff0n };
		first.storePosition({ ...position, acknowledgedLsn: 1n });
		first.storePosition(position);
		first.storeReadyMembership(5, "m");
		first.close();
		const second = files.open();
		expect(second.position()).toEqual(position);
		expect(second.readyMembership(5)).toBe("m");
		second.clearReadyMemberships();
		expect(second.readyMembership(5)).toBeNull();
		second.close();
	});

	it("never repeats a handle over restarts", async () => {
		await using files = await room();
		const seen = new Set<string>();
		for (let restart = 0; restart < 5; restart += 1) {
			const catalogue = files.open();
			for (let count = 0; count < 20; count += 1) {
				seen.add(catalogue.newHandle("00000000"));
			}
			catalogue.close();
		}
		expect(seen.size).toBe(100);
	});

	it("is unreadable when the file is damaged, or was written by another version", async () => {
		await using files = await room();
		files.open().close();
		const raw = new DatabaseSync(files.path);
		raw.exec("UPDATE meta SET value = '99' WHERE key = 'format_version'");
		raw.close();
		expect(() => files.open()).toThrowError(
			expect.objectContaining({
				code: "SLUICE_CATALOGUE_UNREADABLE",
				context: expect.objectContaining({ foundVersion: "99" }),
			}),
		);
		await writeFile(files.path, "x".repeat(8192));
		expect(() => files.open()).toThrowError(expect.objectContaining({ code: "SLUICE_CATALOGUE_UNREADABLE" }));
	});
});
