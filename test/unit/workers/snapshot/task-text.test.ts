/**
 * The texts of a snapshot: the statement, the marker, PostgreSQL's snapshot and its errors.
 */

import pg from "pg";
import { describe, expect, it } from "vitest";
import { InvariantError } from "../../../../src/shared/assert.ts";
import { SluiceError } from "../../../../src/shared/errors.ts";
import type { ShapeDefinition } from "../../../../src/shared/shape-definition.ts";
import { snapshotError } from "../../../../src/workers/snapshot/snapshot-error.ts";
import { copyStatement, parseSnapshot, snapshotEnd } from "../../../../src/workers/snapshot/task.ts";

const DEFINITION: ShapeDefinition = {
	table: { oid: 1, schema: 's"1', name: "Items", kind: "r", columns: [], leafOids: [] },
	where: { sql: "id = '1'::int4", tree: { kind: "constant", value: true } },
	selectedColumns: ['a"b', "id"],
	columnsGiven: true,
	keyColumns: ["id"],
	hasPrimaryKey: true,
	replica: "default",
	log: "full",
};

describe("a snapshot's text", () => {
	it("copies the table alone, or a partitioned table with its partitions", () => {
		expect(copyStatement(DEFINITION)).toBe(
			`COPY (SELECT "a""b", "id" FROM ONLY "s""1"."Items" WHERE (id = '1'::int4)) TO STDOUT`,
		);
		expect(copyStatement({ ...DEFINITION, where: null, table: { ...DEFINITION.table, kind: "p" } })).toBe(
			`COPY (SELECT "a""b", "id" FROM "s""1"."Items") TO STDOUT`,
		);
	});

	it("reads PostgreSQL's snapshots and writes the end marker", () => {
		const snapshot = parseSnapshot("731:735:732,734", "1/A0");
		expect(snapshot).toEqual({ xmin: "731", xmax: "735", xipList: ["732", "734"], insertLsn: "4294967456" });
		expect(parseSnapshot("5:5:", "0/1").xipList).toEqual([]);
		expect(snapshotEnd(snapshot)).toBe(
			'{"headers":{"control":"snapshot-end","xmin":"731","xmax":"735","xip_list":["732","734"]}}',
		);
	});
});

describe("a snapshot's error", () => {
	function server(code: string, message: string): Error {
		const error = new pg.DatabaseError(message, 0, "error");
		error.code = code;
		return error;
	}

	it.each([
		[
			"42501",
			"permission denied for table items",
			"Unable to create initial snapshot: permission denied for table items",
		],
		["55P03", "canceling statement due to lock timeout", "Snapshot timed out while waiting for a table lock"],
		["57P01", "terminating connection", "Database connection not available"],
		["22P02", 'invalid input syntax for type integer: "secret value"', "invalid input syntax for type integer"],
		["22012", "division by zero", "division by zero"],
	])("with SQLSTATE %s is told in the words of the API, without values", (sqlState, message, serverMessage) => {
		expect(snapshotError(server(sqlState, message))).toMatchObject({
			code: "SLUICE_SNAPSHOT_FAILED",
			context: { sqlState, serverMessage },
		});
	});

	it("of the connection is a failed snapshot, ours stay what they are", () => {
		expect(snapshotError(new Error("ECONNRESET"))).toMatchObject({
			code: "SLUICE_SNAPSHOT_FAILED",
			context: { sqlState: null, serverMessage: "Database connection not available" },
		});
		const full = new SluiceError("SLUICE_DISK_FULL");
		expect(snapshotError(full)).toBe(full);
		const bug = new InvariantError("bug");
		expect(snapshotError(bug)).toBe(bug);
	});
});
