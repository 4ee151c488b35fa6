/**
 * The texts of a subset: the statement, the start of the body, and what PostgreSQL's errors become.
 */

import pg from "pg";
import { describe, expect, it } from "vitest";
import { SluiceError } from "../../../../src/shared/errors.ts";
import type { ShapeDefinition } from "../../../../src/shared/shape-definition.ts";
import {
	bodyStart,
	endTransaction,
	isVisible,
	subsetError,
	subsetStatement,
} from "../../../../src/workers/snapshot/subset.ts";

const DEFINITION: ShapeDefinition = {
	table: { oid: 1, schema: "public", name: "Items", kind: "r", columns: [], leafOids: [] },
	where: { sql: "a OR b", tree: { kind: "constant", value: true } },
	selectedColumns: ["id"],
	columnsGiven: true,
	keyColumns: ["id"],
	hasPrimaryKey: true,
	replica: "default",
	log: "changes_only",
};

function serverError(code: string, message: string): pg.DatabaseError {
	return Object.assign(new pg.DatabaseError(message, message.length, "error"), { code });
}

function contextOf(error: unknown): unknown {
	return error instanceof SluiceError ? [error.code, error.context] : error;
}

describe("a subset's statement", () => {
	it("keeps an OR of either condition inside its own parentheses", () => {
		expect(subsetStatement(DEFINITION, { where: "c OR d", orderBy: '"id" DESC', limit: 5, offset: 10 })).toBe(
			'COPY (SELECT "id" FROM ONLY "public"."Items" WHERE (a OR b) AND (c OR d) ORDER BY "id" DESC LIMIT 5 OFFSET 10) TO STDOUT',
		);
	});

	it("leaves out what is not asked for", () => {
		const nothing = { where: null, orderBy: null, limit: null, offset: 0 };
		expect(subsetStatement({ ...DEFINITION, where: null }, nothing)).toBe(
			'COPY (SELECT "id" FROM ONLY "public"."Items") TO STDOUT',
		);
		expect(subsetStatement({ ...DEFINITION, where: null }, { ...nothing, where: "c" })).toBe(
			'COPY (SELECT "id" FROM ONLY "public"."Items" WHERE (c)) TO STDOUT',
		);
	});
});

it("a subset's metadata holds decimal texts and the mark as a number", () => {
	const snapshot = { xmin: "731", xmax: "735", xipList: ["732"], insertLsn: "26801112" };
	expect(bodyStart(snapshot, 7)).toBe(
		'{"metadata":{"xmin":"731","xmax":"735","xip_list":["732"],"database_lsn":"26801112","snapshot_mark":7},"data":[',
	);
});

it("a transaction is seen when it is below xmax and was not in progress, across an epoch too", () => {
	const seen = (xid: bigint, xmax: string, ...xipList: string[]) => isVisible(xid, { xmax, xipList });
	expect([seen(731n, "735", "732"), seen(732n, "735", "732"), seen(735n, "735"), seen(740n, "735")]).toEqual([
		true,
		false,
		false,
		false,
	]);
	// 2^32 + 5: the id before it was 4294967295.
	expect([seen(4_294_967_295n, "4294967301"), seen(4n, "4294967301", "4294967300"), seen(5n, "4294967301")]).toEqual([
		true,
		false,
		false,
	]);
});

describe("an error of PostgreSQL", () => {
	it("about a value is the client's, without the value", () => {
		const error = subsetError(serverError("22P02", 'invalid input value for enum mood: "x"'), 1_000);
		expect(contextOf(error)).toEqual([
			"SLUICE_REQUEST_INVALID",
			{ errors: { subset: { where: "invalid input value for enum mood" } } },
		]);
	});

	it.each([
		['value "98765432109" is out of range for type integer', "value … is out of range for type integer"],
		['"1e999" is out of range for type double precision', "… is out of range for type double precision"],
		['value "a\nb "c" d" is out of range for type smallint', "value … is out of range for type smallint"],
		['date/time field value out of range: "2024-13-01"', "date/time field value out of range"],
	])("keeps %j to itself but for what is wrong with it", (message, said) => {
		expect(contextOf(subsetError(serverError("22003", message), 1_000))).toEqual([
			"SLUICE_REQUEST_INVALID",
			{ errors: { subset: { where: said } } },
		]);
	});

	it("about a missing ordering is the client's too", () => {
		const error = subsetError(serverError("42883", "could not identify an ordering operator for type json"), 1_000);
		expect(contextOf(error)).toEqual([
			"SLUICE_REQUEST_INVALID",
			{ errors: { subset: { order_by: "could not identify an ordering operator for type json" } } },
		]);
	});

	it("about time says how long it was", () => {
		const error = subsetError(serverError("57014", "canceling statement due to statement timeout"), 1_000);
		expect(contextOf(error)).toMatchObject([
			"SLUICE_SNAPSHOT_FAILED",
			{ serverMessage: expect.stringMatching(/cancelled after 1000ms/) },
		]);
	});

	it("of any other kind is that of a snapshot", () => {
		expect(contextOf(subsetError(serverError("42501", "permission denied for table items"), 1))).toMatchObject([
			"SLUICE_SNAPSHOT_FAILED",
			{ serverMessage: "Unable to create initial snapshot: permission denied for table items" },
		]);
		expect(contextOf(subsetError(new Error("socket"), 1))).toMatchObject(["SLUICE_SNAPSHOT_FAILED", {}]);
	});
});

describe("the end of a subset's transaction", () => {
	async function ended(cancelled: boolean): Promise<readonly unknown[]> {
		const steps: unknown[] = [];
		const over = async (): Promise<boolean> => {
			await Promise.resolve();
			steps.push("nothing is on its way");
			return cancelled;
		};
		const query = async (text: string): Promise<void> => {
			steps.push(text);
		};
		const isUsable = await endTransaction({ query }, { over }, "COMMIT");
		return [...steps, isUsable];
	}

	it("comes after the last moment at which a cancel could be sent", async () => {
		expect(await ended(false)).toEqual(["nothing is on its way", "COMMIT", true]);
	});

	it("is left to the end of the connection when a cancel was sent: a pooler must not hand the session on", async () => {
		expect(await ended(true)).toEqual(["nothing is on its way", false]);
	});
});
