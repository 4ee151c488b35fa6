/**
 * The entry encoder against the Shape API's worked forms, and against JSON.parse for any text.
 */

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ByteWriter } from "../../../src/shared/byte-writer.ts";
import {
	CHANGED_KEY,
	CHANGED_SELECTED,
	EntryEncoder,
	encoderIdentity,
	writeTransactionStamp,
} from "../../../src/shared/entry-encoder.ts";
import type { ColumnInfo, ShapeDefinition } from "../../../src/shared/shape-definition.ts";
import { Tuple } from "../../../src/shared/tuple.ts";

function column(name: string, attributeNumber: number, primaryKeyIndex: number | null): ColumnInfo {
	return {
		name,
		attributeNumber,
		typeOid: 25,
		typeName: "text",
		baseTypeName: "text",
		typeKind: "b",
		typmod: -1,
		dimensions: 0,
		isArray: false,
		notNull: false,
		primaryKeyIndex,
		isGenerated: false,
		deterministicCollation: true,
	};
}

interface Options {
	readonly schema?: string;
	readonly table?: string;
	readonly columns?: readonly string[];
	readonly selected?: readonly string[];
	readonly keys?: readonly string[];
	readonly replica?: "default" | "full";
}

function definitionOf(options: Options = {}): ShapeDefinition {
	const columns = options.columns ?? ["id", "title", "done"];
	const keys = options.keys ?? ["id"];
	return {
		table: {
			oid: 100,
			schema: options.schema ?? "public",
			name: options.table ?? "items",
			kind: "r",
			columns: columns.map((name, index) => column(name, index + 1, keys.includes(name) ? keys.indexOf(name) : null)),
			leafOids: [],
		},
		where: null,
		selectedColumns: [...(options.selected ?? columns)].sort(),
		columnsGiven: options.selected !== undefined,
		keyColumns: keys.length === 0 ? columns : keys,
		hasPrimaryKey: keys.length > 0,
		replica: options.replica ?? "default",
		log: "full",
	};
}

function tupleOf(...values: readonly (string | null)[]): Tuple {
	const tuple = new Tuple(values.length);
	const parts = values.map((value) => Buffer.from(value ?? ""));
	tuple.reset(Buffer.concat(parts), values.length);
	let start = 0;
	values.forEach((value, index) => {
		tuple.start[index] = start;
		tuple.length[index] = value === null ? -1 : (parts[index] as Buffer).length;
		start += (parts[index] as Buffer).length;
	});
	return tuple;
}

function encoderOf(options: Options = {}): EntryEncoder {
	const encoder = new EntryEncoder(definitionOf(options));
	encoder.bindColumns(options.columns ?? ["id", "title", "done"]);
	return encoder;
}

const stamp = new ByteWriter(16);
writeTransactionStamp(stamp, 731, 0, 26801112);

function written(append: (out: ByteWriter) => void): string {
	const out = new ByteWriter(8);
	append(out);
	return out.view().toString();
}

describe("entry encoder", () => {
	it("writes a snapshot row with its columns in order and only the static headers", () => {
		const text = written((out) => encoderOf().appendSnapshotRow(out, tupleOf("1", "a", null)));
		expect(text).toBe(
			'{"key":"\\"public\\".\\"items\\"/\\"1\\"","value":{"done":null,"id":"1","title":"a"},"headers":{"operation":"insert","relation":["public","items"]}}',
		);
	});

	it("writes an insert with txids, lsn and op_position and headers last", () => {
		const text = written((out) => encoderOf().appendInsert(out, stamp, 2, tupleOf("1", "a", "t")));
		expect(text).toBe(
			'{"key":"\\"public\\".\\"items\\"/\\"1\\"","value":{"done":"t","id":"1","title":"a"},"headers":{"operation":"insert","relation":["public","items"],"txids":[731],"lsn":"26801112","op_position":2}}',
		);
	});

	it("writes an update in default mode as key columns and changed columns", () => {
		const encoder = encoderOf();
		const [before, after] = [tupleOf("1", "a", "t"), tupleOf("1", "b", "t")];
		expect(encoder.compare(before, after)).toBe(CHANGED_SELECTED);
		const entry = JSON.parse(written((out) => encoder.appendUpdate(out, stamp, 4, before, after)));
		expect(entry).toEqual({
			key: '"public"."items"/"1"',
			value: { id: "1", title: "b" },
			headers: {
				operation: "update",
				relation: ["public", "items"],
				txids: [731],
				lsn: "26801112",
				op_position: 4,
			},
		});
	});

	it("writes an update in full mode as the whole row and the old values of changed columns only", () => {
		const encoder = encoderOf({ replica: "full" });
		const [before, after] = [tupleOf("1", null, "t"), tupleOf("1", "b", "t")];
		encoder.compare(before, after);
		const entry = JSON.parse(written((out) => encoder.appendUpdate(out, stamp, 4, before, after)));
		expect(entry.value).toEqual({ done: "t", id: "1", title: "b" });
		expect(entry.old_value).toEqual({ title: null });
		expect(Object.keys(entry)).toEqual(["key", "value", "old_value", "headers"]);
	});

	it("writes a delete with the key columns, in full mode with the old row", () => {
		const row = tupleOf("1", "a", "t");
		const short = JSON.parse(written((out) => encoderOf().appendDelete(out, stamp, 2, row)));
		expect(short.value).toEqual({ id: "1" });
		const full = JSON.parse(written((out) => encoderOf({ replica: "full" }).appendDelete(out, stamp, 2, row)));
		expect(full.value).toEqual({ done: "t", id: "1", title: "a" });
	});

	it("writes all columns of a deleted row of a table without primary key", () => {
		const encoder = encoderOf({ keys: [] });
		const entry = JSON.parse(written((out) => encoder.appendDelete(out, stamp, 2, tupleOf("1", null, ""))));
		expect(entry.key).toBe('"public"."items"/"1"/_/""');
		expect(entry.value).toEqual({ done: "", id: "1", title: null });
	});

	it("writes a key change as a delete and an insert that name each other's key", () => {
		const encoder = encoderOf();
		const [before, after] = [tupleOf("1", "a", "t"), tupleOf("2", "a", "t")];
		expect(encoder.compare(before, after)).toBe(CHANGED_SELECTED | CHANGED_KEY);
		const first = JSON.parse(written((out) => encoder.appendKeyChangeDelete(out, stamp, 2, before, after)));
		const second = JSON.parse(written((out) => encoder.appendKeyChangeInsert(out, stamp, 3, before, after)));
		expect(first).toMatchObject({
			key: '"public"."items"/"1"',
			value: { id: "1" },
			headers: { operation: "delete", key_change_to: '"public"."items"/"2"', op_position: 2 },
		});
		expect(second).toMatchObject({
			key: '"public"."items"/"2"',
			value: { done: "t", id: "2", title: "a" },
			headers: { operation: "insert", key_change_from: '"public"."items"/"1"', op_position: 3 },
		});
	});

	it("reports a change of an unselected key column as a key change", () => {
		const encoder = encoderOf({ selected: ["title"], keys: ["id"] });
		expect(encoder.compare(tupleOf("1", "a", "t"), tupleOf("2", "a", "f"))).toBe(CHANGED_KEY);
	});

	it("reports no change when only columns outside the selection differ", () => {
		const encoder = encoderOf({ selected: ["id", "title"] });
		expect(encoder.compare(tupleOf("1", "a", "t"), tupleOf("1", "a", "f"))).toBe(0);
	});

	it("tells NULL from the empty string", () => {
		expect(encoderOf().compare(tupleOf("1", null, "t"), tupleOf("1", "", "t"))).toBe(CHANGED_SELECTED);
	});

	it("doubles slashes in key values, slashes and dots in names, and leaves quotes alone", () => {
		const encoder = encoderOf({ schema: "a.b", table: 'c/d"e', keys: ["id", "title"] });
		const entry = JSON.parse(written((out) => encoder.appendSnapshotRow(out, tupleOf('x/"y', "p.q", null))));
		expect(entry.key).toBe('"a..b"."c//d"e"/"x//"y"/"p.q"');
		expect(entry.headers.relation).toEqual(["a.b", 'c/d"e']);
		expect(entry.value.id).toBe('x/"y');
	});

	it("orders key components by the primary key and value keys by the selection", () => {
		const encoder = encoderOf({ columns: ["a", "b", "c"], keys: ["c", "a"] });
		const entry = JSON.parse(written((out) => encoder.appendSnapshotRow(out, tupleOf("1", "2", "3"))));
		expect(entry.key).toBe('"public"."items"/"3"/"1"');
	});

	it("follows a new column order after bindColumns, as a partition's rows need it", () => {
		const encoder = encoderOf();
		encoder.bindColumns(["done", "other", "title", "id"]);
		const entry = JSON.parse(written((out) => encoder.appendSnapshotRow(out, tupleOf("t", "x", "a", "7"))));
		expect(entry).toMatchObject({
			key: '"public"."items"/"7"',
			value: { done: "t", id: "7", title: "a" },
			headers: { relation: ["public", "items"] },
		});
	});

	it("writes LSNs beyond 2^53 exactly", () => {
		const wide = new ByteWriter(8);
		writeTransactionStamp(wide, 4294967295, 0xffff_ffff, 0xffff_fffe);
		const entry = JSON.parse(written((out) => encoderOf().appendInsert(out, wide, 4294967294, tupleOf("1", "a", "t"))));
		expect(entry.headers).toMatchObject({
			txids: [4294967295],
			lsn: "18446744073709551614",
			op_position: 4294967294,
		});
	});

	it("gives valid JSON that parses back to any text, short and long", () => {
		const encoder = encoderOf();
		const text = fc.oneof(
			fc.string({ unit: "binary", maxLength: 40 }),
			fc.string({ unit: fc.constantFrom("\u0000", "\u001f", '"', "\\", "/", "\n", "é", "\u{1f600}", "\u007f") }),
			fc.string({ unit: "binary", minLength: 300, maxLength: 700 }),
		);
		fc.assert(
			fc.property(text, text, (id, title) => {
				const [cleanId, cleanTitle] = [Buffer.from(id).toString(), Buffer.from(title).toString()];
				const entry = JSON.parse(written((out) => encoder.appendInsert(out, stamp, 2, tupleOf(id, title, null))));
				expect(entry.value).toEqual({ done: null, id: cleanId, title: cleanTitle });
				expect(entry.key).toBe(`"public"."items"/"${cleanId.replaceAll("/", "//")}"`);
			}),
			{ numRuns: 150 },
		);
	});

	it("gives one identity to shapes that differ only in their where", () => {
		expect(encoderIdentity(definitionOf())).toBe(encoderIdentity({ ...definitionOf(), log: "changes_only" }));
		expect(encoderIdentity(definitionOf())).not.toBe(encoderIdentity(definitionOf({ replica: "full" })));
		expect(encoderIdentity(definitionOf())).not.toBe(encoderIdentity(definitionOf({ selected: ["id", "title"] })));
	});
});
