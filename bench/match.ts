/**
 * What a row costs in the matcher, by hand: `node bench/match.ts`. Hits and misses on equality, range and prefix
 * indexes of 1 to 10 000 shapes, under a residual condition, in an update, and the cost of adding and removing.
 * Prints nanoseconds; asserts nothing.
 */

import type { ShapeDefinition, WhereClause } from "../src/shared/shape-definition.ts";
import { Tuple } from "../src/shared/tuple.ts";
import { createShapeMatcher } from "../src/workers/match/shape-matcher.ts";
import { loadWhereParser } from "../src/workers/where/where-parser.ts";

const OID = 1000;
const ROWS = 4096;
const ROUNDS = 300;

const columnOf = (name: string, typeOid: number, typeName: string, attributeNumber: number) => ({
	name,
	attributeNumber,
	typeOid,
	typeName,
	baseTypeName: typeName,
	typeKind: "b",
	typmod: -1,
	dimensions: 0,
	isArray: false,
	notNull: true,
	primaryKeyIndex: null,
	isGenerated: false,
	deterministicCollation: true,
});

const columns = [
	columnOf("id", 20, "int8", 1),
	columnOf("project_id", 23, "int4", 2),
	columnOf("owner", 2950, "uuid", 3),
	columnOf("title", 25, "text", 4),
];

const uuidOf = (number: number) => `f47ac10b-58cc-4372-a567-${number.toString(16).padStart(12, "0")}`;

function definitionOf(where: WhereClause): ShapeDefinition {
	return {
		table: { oid: OID, schema: "public", name: "t", kind: "r", columns, leafOids: [] },
		where,
		selectedColumns: ["id"],
		columnsGiven: false,
		keyColumns: ["id"],
		hasPrimaryKey: true,
		replica: "default",
		log: "full",
	};
}

/** Rows back to back in one shared buffer, as in a batch. */
function rowsOf(project: (row: number) => number): readonly Tuple[] {
	const texts = Array.from({ length: ROWS }, (_, row) => [
		String(1_000_000 + row),
		String(project(row)),
		uuidOf(project(row)),
		`title of the row number ${row}`,
	]);
	const size = texts.flat().reduce((sum, text) => sum + text.length, 0);
	const buffer = Buffer.from(new SharedArrayBuffer(size));
	let position = 0;
	return texts.map((row) => {
		const tuple = new Tuple();
		tuple.reset(buffer, row.length);
		row.forEach((text, column) => {
			tuple.start[column] = position;
			tuple.length[column] = buffer.write(text, position, "latin1");
			position += text.length;
		});
		return tuple;
	});
}

const parser = await loadWhereParser();

interface Case {
	readonly name: string;
	readonly where: (shape: number) => string;
	readonly isUpdate?: boolean;
}

const cases: readonly Case[] = [
	{ name: "project_id = n", where: (shape) => `project_id = ${shape}` },
	{ name: "owner = uuid", where: (shape) => `owner = '${uuidOf(shape)}'` },
	{ name: "project_id = n AND title LIKE 'title%'", where: (shape) => `project_id = ${shape} AND title LIKE 'title%'` },
	{ name: "project_id IN (n, n + 1000000)", where: (shape) => `project_id IN (${shape}, ${shape + 1_000_000})` },
	{ name: "project_id < 0 - n (no hit)", where: (shape) => `project_id < ${-1 - shape}` },
	{
		name: "project_id BETWEEN n AND n + 1",
		where: (shape) => `project_id BETWEEN ${shape} AND ${shape + 1}`,
	},
	{ name: "title LIKE 'n%' (no hit)", where: (shape) => `title LIKE '${shape}x%'` },
	{ name: "project_id = n, update", where: (shape) => `project_id = ${shape}`, isUpdate: true },
];

const lines: string[] = [];
for (const { name, where, isUpdate } of cases) {
	for (const shapeCount of [1, 1_000, 10_000]) {
		const clauses = Array.from({ length: shapeCount }, (_, shape) =>
			definitionOf(parser.parse({ text: where(shape), params: {}, columns, caseFolding: "ascii" })),
		);
		const matcher = createShapeMatcher();
		matcher.bindRelation({
			oid: OID,
			schema: "public",
			name: "t",
			replicaIdentity: "f",
			columns: columns.map(({ name, typeOid }) => ({ name, typeOid, typmod: -1, partOfKey: false })),
		});
		const addStart = process.hrtime.bigint();
		clauses.forEach((definition, slot) => {
			matcher.addShape(slot, definition);
		});
		const addNs = Number(process.hrtime.bigint() - addStart) / shapeCount;
		let found = 0;
		const sink = () => {
			found += 1;
		};
		const measure = (rows: readonly Tuple[]): number => {
			let best = Number.POSITIVE_INFINITY;
			for (let round = 0; round < ROUNDS; round += 1) {
				const start = process.hrtime.bigint();
				for (const row of rows) {
					matcher.match(OID, isUpdate === true ? row : null, row, sink);
				}
				best = Math.min(best, Number(process.hrtime.bigint() - start) / rows.length);
			}
			return best;
		};
		const hit = measure(rowsOf((row) => (row * 7919) % shapeCount));
		const hits = found;
		const miss = measure(rowsOf((row) => shapeCount + 2_000_000 + row));
		const removeStart = process.hrtime.bigint();
		for (let slot = 0; slot < shapeCount; slot += 1) {
			matcher.removeShape(slot);
		}
		const removeNs = Number(process.hrtime.bigint() - removeStart) / shapeCount;
		lines.push(
			`${name.padEnd(42)} ${String(shapeCount).padStart(6)} shapes: hit ${hit.toFixed(0).padStart(4)} ns, miss ${miss.toFixed(0).padStart(4)} ns, add ${addNs.toFixed(0).padStart(6)} ns, remove ${removeNs.toFixed(0).padStart(5)} ns (${hits / ROWS / ROUNDS} found a row)`,
		);
	}
}
process.stdout.write(`${lines.join("\n")}\n`);
