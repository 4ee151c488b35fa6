/**
 * Requests of mutated bytes to an HTTP thread, with the registrar's real checks behind it: a documented status, soon, and
 * a thread that lives on. No text of a request reaches SQL but as a parameter, or rebuilt by the where room.
 */

import { once } from "node:events";
import { connect } from "node:net";
import fc from "fast-check";
import { loadModule, parseSync } from "libpg-query";
import { beforeAll, expect, it } from "vitest";
import type { ShapeDefinition } from "../../../../src/shared/shape-definition.ts";
import { Inspector } from "../../../../src/workers/registrar/inspector.ts";
import { ShapeRequests } from "../../../../src/workers/registrar/shape-request.ts";
import { checkSubset } from "../../../../src/workers/registrar/subset-query.ts";
import { subsetStatement } from "../../../../src/workers/snapshot/subset.ts";
import { copyStatement } from "../../../../src/workers/snapshot/task.ts";
import { loadWhereParser, type WhereParser } from "../../../../src/workers/where/where-parser.ts";
import { corpus, FUZZ_TIMEOUT_MS, fuzzParameters, memoryBytes, mutated } from "../../../support/fuzz.ts";
import { HttpStand, SUBSET, sharedText } from "./support/http-stand.ts";
import { SNAPSHOT_END } from "./support/shape-files.ts";

const H = "38216733-1768478340123456";
const MEMORY_MARGIN_BYTES = 300 * 1024 * 1024;
const ANSWER_MS_MAX = 5_000;
/** A 500 is none of them. */
const DOCUMENTED = new Set([200, 202, 204, 304, 400, 404, 405, 408, 409, 413, 414, 431, 503]);
const WORDS = [
	"&",
	"=",
	"%",
	"%00",
	"%ff",
	"[",
	"]",
	"[1]",
	"+",
	"?",
	"#",
	"offset=-1",
	"where=",
	"subset__where=",
	"\t{",
	'"',
	"'",
	"live",
	"/",
];

let parser: WhereParser;
beforeAll(async () => {
	await loadModule();
	parser = await loadWhereParser();
});

/** A database that has one table, and remembers the text of every statement. */
function database() {
	const texts = new Set<string>();
	const columnRow = (attname: string, attnum: number, atttypid: string) => ({
		oid: "16384",
		relkind: "r",
		relpersistence: "p",
		attname,
		attnum,
		atttypid,
		atttypmod: -1,
		attndims: 0,
		attnotnull: attnum === 1,
		attgenerated: "",
		deterministic: true,
		key_position: attnum === 1 ? "0" : null,
	});
	const typeRow = (oid: string, typname: string) => ({ oid, typname, typtype: "b", typbasetype: "0", element: "0" });
	const rowsOf = (sql: string, values: readonly unknown[]): unknown[] => {
		if (sql.includes("pg_attribute")) {
			return values[0] === "public" && values[1] === "items"
				? [columnRow("id", 1, "23"), columnRow("title", 2, "25")]
				: [];
		}
		return sql.includes("pg_database")
			? [{ version: 180_000, provider: "c", ctype: "C", locale: "" }]
			: [typeRow("23", "int4"), typeRow("25", "text")];
	};
	return {
		texts,
		query: async <R>(sql: string, values: readonly unknown[] = []): Promise<R[]> => {
			texts.add(sql);
			return rowsOf(sql, values) as R[];
		},
	};
}

/** One COPY of one SELECT from the one table, without anything that only a client could have put there. */
function expectOneCopy(sql: string): void {
	const parsed: unknown = parseSync(sql);
	const text = JSON.stringify(parsed);
	const { stmts } = JSON.parse(text) as { stmts: { stmt: { CopyStmt?: unknown } }[] };
	expect(stmts).toHaveLength(1);
	expect(stmts[0]?.stmt.CopyStmt).toBeDefined();
	expect(text.match(/"RangeVar"/g)).toHaveLength(1);
	expect(text).toContain('"schemaname":"public","relname":"items"');
	expect(text).not.toMatch(/"SubLink"|"ParamRef"|"CommonTableExpr"|"intoClause"/);
}

/** The status of the answer, and how long it took. */
async function send(port: number, input: Buffer): Promise<{ readonly status: number; readonly ms: number }> {
	const tab = input.indexOf("\t");
	// A line break would begin a header, which is not what is fuzzed.
	const head = (tab < 0 ? input : input.subarray(0, tab)).toString("latin1").replace(/[\r\n]/g, "");
	const body = tab < 0 ? Buffer.alloc(0) : input.subarray(tab + 1);
	const space = head.indexOf(" ");
	const [method, target] = [head.slice(0, space), head.slice(space + 1).replaceAll(" ", "%20")];
	const beganMs = performance.now();
	const socket = connect(port, "127.0.0.1");
	await once(socket, "connect");
	const length = body.length > 0 ? `content-length: ${body.length}\r\n` : "";
	socket.write(Buffer.from(`${method} ${target} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n${length}\r\n`, "latin1"));
	socket.write(body);
	const pieces: Buffer[] = [];
	socket.setTimeout(2 * ANSWER_MS_MAX, () => socket.destroy(new Error(`no answer to ${JSON.stringify(head)}`)));
	for await (const piece of socket as AsyncIterable<Buffer>) {
		pieces.push(piece);
	}
	const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(Buffer.concat(pieces).toString("latin1"))?.[1] ?? 0);
	return { status, ms: performance.now() - beganMs };
}

it(
	"answers every request with a documented status, and lets no text of it into SQL",
	async () => {
		await using stand = await HttpStand.start({
			environment: { SLUICE_LONG_POLL_TIMEOUT_MS: "0", SLUICE_ENABLE_SHAPE_DELETION: "true" },
			thread: { eventTimes: { keepAliveMs: 20, lifetimeMs: 30 } },
		});
		const files = stand.shape("items", H, 3);
		files.snapshot([[SNAPSHOT_END]]);
		files.commit(500n, [{ op: 2, id: "1" }]);
		const shape = stand.registrar.shapes.get("items");
		const session = database();
		const requests = new ShapeRequests(new Inspector(session), parser);
		const definitions: { last: ShapeDefinition | null } = { last: null };
		stand.registrar.onResolve = async (request) => {
			const definition = await requests.check(request);
			expectOneCopy(copyStatement(definition));
			definitions.last = definition;
			if (shape === undefined) {
				throw new Error("the stand has a shape");
			}
			return shape;
		};
		stand.registrar.onSubset = async (request) => {
			if (definitions.last !== null) {
				const query = checkSubset(definitions.last, request, { parser, caseFolding: "unicode" });
				expectOneCopy(subsetStatement(definitions.last, query));
			}
			return { body: sharedText(SUBSET) };
		};
		const inputs = corpus("http").map((input) =>
			Buffer.from(input.toString("latin1").replaceAll("handle=H", `handle=${H}`), "latin1"),
		);
		const before = memoryBytes();
		const statuses = new Map<number, number>();
		const check = async (input: Buffer): Promise<void> => {
			const { status, ms } = await send(stand.port, input);
			statuses.set(status, (statuses.get(status) ?? 0) + 1);
			expect([...DOCUMENTED]).toContain(status);
			expect(ms).toBeLessThan(ANSWER_MS_MAX);
		};
		for (const input of inputs) {
			await check(input);
		}
		await fc.assert(fc.asyncProperty(mutated(inputs, WORDS), check), fuzzParameters<[Buffer]>());
		expect(statuses.get(200)).toBeGreaterThan(0);
		expect(statuses.get(400)).toBeGreaterThan(0);
		// Fixed texts, whatever was asked: names go as parameters.
		expect(session.texts.size).toBeLessThanOrEqual(4);
		expect((await stand.get("/v1/health")).status).toBe(200);
		expect(memoryBytes() - before).toBeLessThan(MEMORY_MARGIN_BYTES);
	},
	FUZZ_TIMEOUT_MS,
);
