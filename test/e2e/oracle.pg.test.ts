/**
 * The whole system against PostgreSQL: generated shapes, generated transactions, the published client. After
 * every batch of transactions each client must hold exactly what the same condition selects. Restarts are
 * mixed in, in order and by SIGKILL; clients live through them.
 */

import { describe, expect, it } from "vitest";
import { useDaemons } from "../support/daemon.ts";
import {
	expectedRows,
	type GeneratedShape,
	generateShape,
	isSameValue,
	runTransaction,
	WORLD_DDL,
} from "../support/generated-workload.ts";
import { embeddedServers, useServer } from "../support/postgres.ts";
import { forEachSeed } from "../support/random.ts";
import { ShapeReader } from "../support/shape-reader.ts";
import { waitFor } from "../support/wait-for.ts";

const SEEDS = Number(process.env["SLUICE_ORACLE_SEEDS"] ?? 2);
const SHAPES = 14;
const ROUNDS = 8;
const TRANSACTIONS_PER_ROUND = 12;

function difference(reader: ShapeReader, expected: Map<string, Record<string, string | null>>): string | null {
	const actual = reader.rows();
	for (const [id, row] of expected) {
		const seen = actual.get(id);
		if (seen === undefined) {
			return `row ${id} is missing`;
		}
		for (const [name, value] of Object.entries(row)) {
			if (!isSameValue(seen[name], value)) {
				return `row ${id}, column ${name}: ${String(seen[name])} instead of ${String(value)}`;
			}
		}
	}
	const extra = [...actual.keys()].find((id) => !expected.has(id));
	return extra === undefined ? null : `row ${extra} should not be there`;
}

function parameters(shape: GeneratedShape) {
	return {
		table: '"World.Items"',
		replica: shape.replica,
		...(shape.where === null ? {} : { where: shape.where }),
		...(Object.keys(shape.params).length === 0 ? {} : { params: { ...shape.params } }),
		...(shape.columns === null ? {} : { columns: [...shape.columns] }),
	};
}

describe.each(embeddedServers())("$name", (kind) => {
	const server = useServer(kind);
	const daemons = useDaemons();

	it("every client equals SELECT after every batch, through restarts", { timeout: 120_000 * SEEDS }, async () => {
		await forEachSeed(SEEDS, async (random) => {
			const database = await server.createDatabase();
			await database.sql(WORLD_DDL);
			const client = await database.connect();
			await client.query("set timezone = 'UTC'; set datestyle = 'ISO, DMY'");
			for (let index = 0; index < 20; index += 1) {
				await runTransaction(client, random);
			}
			const daemon = await daemons.start({
				databaseUrl: database.url,
				environment: {
					SLUICE_WORKERS: String(random.integer(1, 3)),
					SLUICE_HTTP_THREADS: "2",
					// Small pieces, so that borders of chunks fall inside transactions.
					SLUICE_CHUNK_BYTES: String(random.pick([400, 3_000, 10_485_760])),
					SLUICE_LONG_POLL_TIMEOUT_MS: "2000",
				},
			});
			const shapes = Array.from({ length: SHAPES }, () => generateShape(random));
			const readers: ShapeReader[] = [];
			for (let round = 0; round < ROUNDS; round += 1) {
				// Half of the clients come while writers write.
				const arrivals = round < 2 ? shapes.slice(readers.length, ((round + 1) * SHAPES) / 2) : [];
				const writing = (async () => {
					for (let index = 0; index < TRANSACTIONS_PER_ROUND; index += 1) {
						await runTransaction(client, random);
					}
				})();
				readers.push(...arrivals.map((shape) => new ShapeReader(daemon.shapeUrl, parameters(shape))));
				await writing;
				if (round === 3) {
					expect(await daemon.stop()).toBe(0);
					await runTransaction(client, random);
					await daemon.start();
				}
				if (round === 5 || round === 6) {
					await daemon.kill();
					await runTransaction(client, random);
					await daemon.start();
				}
				for (const [index, reader] of readers.entries()) {
					const shape = shapes[index] as GeneratedShape;
					const expected = await expectedRows(client, shape);
					const last = { text: "nothing compared" as string | null };
					await waitFor(
						`client ${index} to equal SELECT`,
						() => {
							last.text = difference(reader, expected);
							return last.text === null;
						},
						{ timeoutMs: 20_000 },
					).catch((cause: unknown) => {
						throw new Error(
							`round ${round}, shape ${JSON.stringify(shape)}: ${last.text}; errors: ${reader.errors.map(String).join("; ")}`,
							{ cause },
						);
					});
				}
			}
			for (const reader of readers) {
				expect(reader.errors).toEqual([]);
				reader.stop();
			}
			await daemon.stop();
			await database.drop();
		});
	});
});
