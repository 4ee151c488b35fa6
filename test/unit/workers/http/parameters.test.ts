/** The validation stages of a shape request, their order and their messages. */

import { describe, expect, test } from "vitest";
import {
	checkDeleteRequest,
	checkReadRequest,
	type FieldErrors,
	renameColumnErrors,
} from "../../../../src/workers/http/parameters.ts";
import { decodeQuery } from "../../../../src/workers/http/query.ts";

const ORDER_REQUIRED = "order_by is required when limit or offset is present";

function parsed(raw: string) {
	return decodeQuery(raw) ?? new Map<string, string>();
}

function errorsOf(raw: string): FieldErrors | null {
	const checked = checkReadRequest(parsed(raw), null);
	return checked.ok ? null : checked.errors;
}

function accepted(raw: string) {
	const checked = checkReadRequest(parsed(raw), null);
	if (!checked.ok) {
		throw new Error(JSON.stringify(checked.errors));
	}
	return checked.value;
}

describe("what is refused", () => {
	test.each([
		["", { offset: ["can't be blank"] }],
		["offset=%20", { offset: ["can't be blank"] }],
		["table=items&offset=x", { offset: ["has invalid format"] }],
		[
			"table[a]=b&replica=none&log=some",
			{
				table: ["is invalid"],
				replica: ["is invalid"],
				log: ["is invalid"],
				offset: ["can't be blank"],
			},
		],
		["offset[1]=1&params=%7B%7D", { params: ["is invalid"], offset: ["is invalid"] }],
		["table=items&offset=-1&params[]=1", { params: ["is invalid"] }],
		["table=items&offset=-1&params[1][2]=1", { params: ["is invalid"] }],
		["table=items&offset=-1&experimental_compaction=maybe", { experimental_compaction: ["is invalid"] }],
		["table=items&offset=-1&where=a%00b", { where: ["is invalid"] }],
		["table=items&offset=5_0", { handle: ["can't be blank when offset != -1"] }],
		["table=items&offset=0_0&handle=%20", { handle: ["can't be blank when offset != -1"] }],
		["table=items&offset=-1&live=true", { live: ["can't be true when offset == -1"] }],
		["table=items&offset=now&live", { live: ["can't be true when offset is 'now'"] }],
		["table=items&offset=-1&live_sse=true", { live_sse: ["can't be true unless live is also true"] }],
		["offset=-1", { table: ["can't be blank"] }],
		["table=items&offset=-1&columns=", null],
		["table=items&offset=-1&columns=gr%C3%B6%C3%9Fe,a$b,a$b", null],
		["table=items&offset=-1&columns=%22a%00b%22", { columns: ["is invalid"] }],
		["table=items&offset=-1&columns=id,", { columns: ["Invalid zero-length delimited identifier"] }],
		["table=items&offset=-1&columns=id,%22%22", { columns: ["Invalid zero-length delimited identifier"] }],
		[
			"table=items&offset=-1&columns=id,a-b",
			{
				columns: ["Invalid unquoted identifier contains special characters: a-b"],
			},
		],
		["table=items&offset=-1&columns=%22a%22b%22", { columns: ['Invalid identifier with unescaped quote: a"b'] }],
		[`table=items&offset=-1&columns=${"a".repeat(64)}`, { columns: ["Identifier is too long (max length is 63)"] }],
		[
			"table=items&offset=-1&columns=id,secret&queryable_columns=id,title",
			{
				columns: ["The following columns are not found on the table: secret"],
			},
		],
		["table=items&offset=-1&subset__limit=1", { subset: { order_by: [ORDER_REQUIRED] } }],
		["table=items&offset=-1&subset__offset=0", { subset: { order_by: [ORDER_REQUIRED] } }],
		["table=items&offset=-1&subset__order_by=id&subset__limit=0", { subset: { limit: ["must be greater than 0"] } }],
		["table=items&offset=-1&subset__order_by=id&subset__limit=-1", { subset: { limit: ["must be greater than 0"] } }],
		["table=items&offset=-1&subset__order_by=id&subset__limit=1e2", { subset: { limit: ["is invalid"] } }],
		[
			"table=items&offset=-1&subset__order_by=id&subset__limit=99999999999999999999&subset__offset=x",
			{ subset: { limit: ["is invalid"], offset: ["is invalid"] } },
		],
		[
			"table=items&offset=-1&subset__order_by=id&subset__offset=-1",
			{ subset: { offset: ["must be greater than or equal to 0"] } },
		],
		["table=items&offset=-1&subset__params={", { subset: { params: ["params must be valid JSON"] } }],
		["table=items&offset=-1&subset__params=[1]", { subset: { params: ["params must be a JSON object"] } }],
		[
			"table=items&offset=-1&subset__where=a&subset__params[1][2]=a",
			{ subset: { params: ["params must be text, numbers or booleans"] } },
		],
		[
			`table=items&offset=-1&subset__params=${encodeURIComponent('{"1":null}')}`,
			{ subset: { params: ["params must be text, numbers or booleans"] } },
		],
		["table=items&offset=-1&subset__where=a%00", { subset: { where: ["is invalid"] } }],
	])("%s gives %o", (raw, errors) => {
		expect(errorsOf(raw)).toEqual(errors);
	});

	test("an earlier stage hides a later one", () => {
		expect(errorsOf("replica=none&offset=zzz&live=true")).toEqual({ replica: ["is invalid"] });
		expect(errorsOf("offset=zzz&live=true")).toEqual({ offset: ["has invalid format"] });
		expect(errorsOf("offset=-1&live=true")).toEqual({ live: ["can't be true when offset == -1"] });
	});
});

describe("a subset", () => {
	test("takes its parameters one by one too, as client 1.0 sends them", () => {
		const raw = "table=t&offset=now&subset__where=a&subset__params[1]=x&subset__params[2]=7";
		expect(accepted(raw).subset?.params).toEqual({ "1": "x", "2": "7" });
	});

	test("is what the query says, with a body's subset over it, numbers as they were written", () => {
		const raw = `table=t&offset=now&subset__where=${encodeURIComponent("id > $1")}&subset__order_by=id&subset__limit=5&subset__params=${encodeURIComponent('{"1":9007199254740993,"2":true,"3":"x"}')}`;
		expect(accepted(raw).subset).toEqual({
			where: "id > $1",
			params: { 1: "9007199254740993", 2: "true", 3: "x" },
			orderBy: "id",
			limit: 5,
			offset: null,
		});
		const merged = checkReadRequest(parsed(raw), { limit: "7", offset: "0", params: { 1: "a" } });
		expect(merged.ok && merged.value.subset).toEqual({
			where: "id > $1",
			params: { 1: "a" },
			orderBy: "id",
			limit: 7,
			offset: 0,
		});
	});

	test("is asked for by any of its keys, and by an empty body of one", () => {
		expect(accepted("table=t&offset=-1").subset).toBeNull();
		const nothing = { where: null, params: {}, orderBy: null, limit: null, offset: null };
		expect(accepted("table=t&offset=-1&subset__where_expr=1").subset).toEqual(nothing);
		expect(accepted("table=t&offset=-1&subset__limit=").subset).toEqual(nothing);
		const byBody = checkReadRequest(parsed("table=t&offset=-1"), {});
		expect(byBody.ok && byBody.value.subset).toEqual(nothing);
	});

	test("may name the queryable columns only", () => {
		expect(accepted('table=t&offset=-1&queryable_columns=id,"Name"').queryableColumns).toEqual(["id", "Name"]);
		expect(accepted("table=t&offset=-1").queryableColumns).toBeNull();
	});
});

describe("what is accepted", () => {
	test("flags are true for every value but exactly false", () => {
		const live = (text: string) => accepted(`table=t&offset=1_2&handle=h${text}`).live;
		expect([
			live(""),
			live("&live=false"),
			live("&live"),
			live("&live="),
			live("&live=0"),
			live("&live=False"),
		]).toEqual([false, false, true, true, true, true]);
		const sse = (text: string) => accepted(`table=t&offset=1_2&handle=h&live${text}`).sse;
		expect(sse("&experimental_live_sse=true")).toBe(true);
		expect(sse("&experimental_live_sse=true&live_sse=false")).toBe(false);
	});

	test("a handle beside -1 or now is discarded", () => {
		expect(accepted("table=t&offset=-1&handle=h")).toMatchObject({ handle: null, givenHandle: "h" });
		expect(accepted("table=t&offset=now&handle=h").handle).toBeNull();
		expect(accepted("table=t&offset=0_0&handle=h").handle).toBe("h");
	});

	test("the definition carries raw text, params only beside a where, and defaults", () => {
		expect(accepted("table=%22T%22&offset=-1&params[1]=a").definition).toEqual({
			table: '"T"',
			where: null,
			params: {},
			columns: null,
			replica: "default",
			log: "full",
		});
		expect(
			accepted(
				"table=t&offset=-1&where=a=$1&params[1]=&params[10]=z&replica=full&log=changes_only&columns=id,%22a,b%22",
			),
		).toMatchObject({
			definition: {
				where: "a=$1",
				params: { 1: "", 10: "z" },
				columns: 'id,"a,b"',
				replica: "full",
				log: "changes_only",
			},
		});
	});

	test("queryable columns become the selected ones, and errors about them carry their name", () => {
		const value = accepted("table=t&offset=-1&queryable_columns=id,title");
		expect(value.definition.columns).toBe("id,title");
		expect(value.columnsFromQueryable).toBe(true);
		expect(
			renameColumnErrors({ columns: ["The list of columns must include all primary key columns, missing: id"] }),
		).toEqual({
			queryable_columns: ["The list of queryable columns must include all primary key columns, missing: id"],
		});
		expect(accepted("table=t&offset=-1&queryable_columns=id,title&columns=%22id%22").definition.columns).toBe('"id"');
	});

	test("unknown parameters are ignored", () => {
		expect(errorsOf("table=t&offset=-1&source_id=1&expired_handle=x&cache-buster=9&a[b][c]=d")).toBeNull();
	});
});

describe("a deletion", () => {
	const check = (raw: string) => checkDeleteRequest(parsed(raw));

	test("needs a definition or a handle, and casts strictly", () => {
		expect(check("")).toEqual({
			ok: false,
			errors: { handle: ["can't be blank when shape definition is missing"] },
		});
		expect(check("table=t&live=banana")).toEqual({ ok: false, errors: { live: ["is invalid"] } });
		expect(check("handle=h")).toEqual({ ok: true, value: { definition: null, handle: "h" } });
		expect(check("table=t&live=true")).toMatchObject({ ok: true, value: { definition: { table: "t" }, handle: null } });
	});
});
