/** The catalogue as a second daemon reads it while the first writes. */

import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { ShapeDefinition } from "../../../../src/shared/shape-definition.ts";
import { Catalogue } from "../../../../src/workers/registrar/catalogue.ts";
import { CatalogueReader, compareShapes } from "../../../../src/workers/registrar/catalogue-reader.ts";
import type { StoredShape } from "../../../../src/workers/registrar/catalogue-rows.ts";
import { nextLookMs } from "../../../../src/workers/registrar/follower.ts";
import { temporaryDirectory } from "../../../support/temporary-directory.ts";
import { column, table } from "./descriptions.ts";

const DEFINITION: ShapeDefinition = {
	table: table({ columns: [column("id", { primaryKeyIndex: 0 })] }),
	where: null,
	selectedColumns: ["id"],
	columnsGiven: false,
	keyColumns: ["id"],
	hasPrimaryKey: true,
	replica: "default",
	log: "full",
};

function stored(handle: string, requests: readonly string[] = []): StoredShape {
	return {
		handle,
		identity: `identity of ${handle}`,
		definition: DEFINITION,
		schemaHeader: "{}",
		snapshot: { xmin: "1", xmax: "3", xipList: [], insertLsn: "99" },
		chunks: 2,
		requests,
	};
}

/** Holds what it was told, as a follower does. */
class Known {
	readonly shapes = new Map<string, string>();
	readonly #reader: CatalogueReader;
	/** How often all shapes were compared. */
	compared = 0;

	constructor(reader: CatalogueReader) {
		this.#reader = reader;
	}

	look(): { added: string[]; renewed: string[]; removed: readonly string[] } {
		const changes = this.#reader.changes(() => {
			this.compared += 1;
			return this.shapes;
		});
		for (const shape of [...changes.added, ...changes.renewed]) {
			this.shapes.set(shape.handle, shape.schemaHeader);
		}
		for (const handle of changes.removed) {
			this.shapes.delete(handle);
		}
		return {
			added: changes.added.map(({ handle }) => handle),
			renewed: changes.renewed.map(({ handle }) => handle),
			removed: changes.removed,
		};
	}
}

describe("the catalogue's reader", () => {
	it("is patient with a catalogue that is not there yet, then learns of what comes, changes and goes", async () => {
		await using directory = await temporaryDirectory("reader");
		const shapes = join(directory.path, "shapes");
		await mkdir(shapes);
		const path = join(directory.path, "catalogue.sqlite");
		const reader = new CatalogueReader(path);
		const known = new Known(reader);
		expect(known.look()).toEqual({ added: [], renewed: [], removed: [] });
		expect(reader.position()).toBeNull();
		expect(reader.handleOf("r")).toBeNull();

		const catalogue = new Catalogue(path, shapes);
		catalogue.open();
		await Promise.all([catalogue.addShape(stored("1-1", ["r"])), catalogue.addShape(stored("2-2"))]);
		expect(known.look().added.toSorted()).toEqual(["1-1", "2-2"]);
		expect(reader.handleOf("r")).toBe("1-1");
		const { compared } = known;
		known.look();
		const position = { systemIdentifier: "7", timeline: 1, slotName: "s", acknowledgedLsn: 5n };
		catalogue.storePosition(position);
		known.look();
		expect(known.compared).toBe(compared);
		expect(reader.position()).toEqual(position);

		await catalogue.addShape(stored("3-3", ["t"]));
		await catalogue.removeShape("1-1");
		await catalogue.describeShape("2-2", DEFINITION, '{"id":{}}');
		expect(known.look()).toEqual({ added: ["3-3"], renewed: ["2-2"], removed: ["1-1"] });
		expect(reader.handleOf("r")).toBeNull();
		expect(known.look()).toEqual({ added: [], renewed: [], removed: [] });

		// The writer ends and another one begins.
		catalogue.close();
		const next = new Catalogue(path, shapes);
		next.open();
		await next.removeShape("3-3");
		expect(known.look().removed).toEqual(["3-3"]);
		reader.close();
		next.close();
	});

	it("says that it cannot read what is no catalogue, and reads again once it is one", async () => {
		await using directory = await temporaryDirectory("reader");
		const path = join(directory.path, "catalogue.sqlite");
		await writeFile(path, "no catalogue ".repeat(1_000));
		const reader = new CatalogueReader(path);
		expect(() => reader.changes(() => new Map())).toThrowError(
			expect.objectContaining({ code: "SLUICE_CATALOGUE_UNREADABLE" }),
		);
		await writeFile(path, "");
		expect(reader.changes(() => new Map())).toEqual({ added: [], renewed: [], removed: [] });
		reader.close();
	});
});

it("compares shapes by handle and header", () => {
	const known = new Map([
		["same", "a"],
		["changed", "a"],
		["gone", "a"],
	]);
	const present = new Map([
		["same", "a"],
		["changed", "b"],
		["new", "a"],
	]);
	expect(compareShapes(known, present)).toEqual({ added: ["new"], renewed: ["changed"], removed: ["gone"] });
});

it("looks less often when looking takes long", () => {
	expect(nextLookMs(1)).toBe(200);
	expect(nextLookMs(50)).toBe(200);
	expect(nextLookMs(500)).toBe(2_000);
});
