/** The replication link and the way to the server: names and addresses, certificates, resets, deadlines, a taken slot. */

import dns from "node:dns";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pino } from "pino";
import { afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { embeddedServers, uniqueName, useDatabase } from "../support/postgres.ts";
import { TcpProxy } from "../support/tcp-proxy.ts";
import { temporaryDirectory } from "../support/temporary-directory.ts";
import { waitFor } from "../support/wait-for.ts";
import { selfSigned } from "./link-certificate.ts";
import { Consumer, connectLink, startLink } from "./link-consumer.ts";

const right = selfSigned("127.0.0.1");
const expired = selfSigned("127.0.0.1", [-3, -1]);
const elsewhere = selfSigned("127.0.0.2");

describe.each(embeddedServers([18]))("$name", (kind) => {
	const database = useDatabase(kind, {
		settings: { ssl: "on", ssl_cert_file: "right.crt", ssl_key_file: "right.key" },
		files: Object.fromEntries(
			Object.entries({ right, expired, elsewhere }).flatMap(([name, { certificate, key }]) => [
				[`${name}.crt`, certificate],
				[`${name}.key`, key],
			]),
		),
		access: [
			"hostssl all only_tls 127.0.0.1/32 trust",
			"host all postgres 127.0.0.1/32 trust",
			"host all no_login 127.0.0.1/32 trust",
		],
	});

	beforeAll(async () => {
		await database.sql("create table item (id bigint primary key, title text)");
		await database.sql("create publication items for table item");
		await database.sql("create role only_tls login superuser; create role no_login");
	});
	afterEach(() => vi.restoreAllMocks());

	const options = (databaseUrl = database.url) => ({
		databaseUrl,
		slotName: uniqueName("link"),
		publicationName: "items",
	});

	/** The resolver's answers, one for each time that it is asked; the last one stays. */
	function resolver(...answers: readonly (readonly { address: string; family: number }[])[]) {
		let asked = 0;
		vi.spyOn(dns, "lookup").mockImplementation(((
			_name: string,
			_options: unknown,
			done: (error: null, found: unknown) => void,
		) => {
			const found = answers[Math.min(asked, answers.length - 1)];
			asked += 1;
			process.nextTick(done, null, found);
		}) as typeof dns.lookup);
		return { asked: () => asked };
	}

	function named(url: string): string {
		return url.replace("127.0.0.1", "database.example");
	}

	it.each([
		["without TLS", "disable"],
		["with TLS", "require"],
	])("falls back to the next address of a host, %s, with a warning", async (_name, sslmode) => {
		resolver([
			{ address: "::1", family: 6 },
			{ address: "127.0.0.1", family: 4 },
		]);
		const lines: string[] = [];
		const log = pino({ level: "warn" }, { write: (line: string) => lines.push(line) });
		await using link = await connectLink(new Consumer(), {
			...options(named(database.urlAs({ parameters: { sslmode } }))),
			log,
		});
		expect(link.facts.walsenderPid).toBeGreaterThan(0);
		expect(JSON.parse(lines[0] ?? "{}")).toMatchObject({
			connection: "replication",
			failed: [{ address: "::1" }],
			used: "127.0.0.1",
		});
	});

	it("asks the resolver anew for each attempt", async () => {
		const names = resolver([{ address: "127.0.0.3", family: 4 }], [{ address: "127.0.0.1", family: 4 }]);
		const wanted = options(named(database.urlAs({ parameters: { sslmode: "disable" } })));
		await expect(connectLink(new Consumer(), wanted)).rejects.toMatchObject({ code: "SLUICE_LINK_UNREACHABLE" });
		await using _link = await connectLink(new Consumer(), wanted);
		expect(names.asked()).toBe(2);
	});

	it("gives a connection up in time that nobody answers, or that is stopped", async () => {
		await using proxy = await TcpProxy.start(() => database.server.local.port);
		proxy.newcomers = "ignore";
		const began = performance.now();
		await expect(
			connectLink(new Consumer(), { ...options(proxy.through(database.url)), connectTimeoutMs: 1 }),
		).rejects.toMatchObject({ code: "SLUICE_LINK_UNREACHABLE" });
		const controller = new AbortController();
		const stopped = connectLink(new Consumer(), {
			...options(proxy.through(database.url)),
			signal: controller.signal,
		});
		await waitFor("an attempt", () => proxy.accepted > 1);
		controller.abort();
		await expect(stopped).rejects.toMatchObject({ code: "SLUICE_LINK_CLOSED" });
		expect(performance.now() - began).toBeLessThan(1_000);
	});

	it.each([["disable"], ["require"]])("takes a reset in mid-stream for a disconnect, sslmode=%s", async (sslmode) => {
		await using proxy = await TcpProxy.start(() => database.server.local.port);
		const consumer = new Consumer();
		await using _link = await startLink(consumer, options(proxy.through(database.urlAs({ parameters: { sslmode } }))));
		await database.sql("truncate item; insert into item select g, repeat('x', 500) from generate_series(1, 20000) g");
		await waitFor("the stream to flow", () => consumer.inserts > 0);
		proxy.reset();
		expect(await consumer.closed()).toMatchObject({ code: "SLUICE_LINK_CLOSED", retry: "retry" });
	});

	it.each([
		["expired", expired, "has expired"],
		["elsewhere", elsewhere, "for another host name"],
		["right", elsewhere, "not trusted"],
	] as const)("says what is wrong with the certificate %s", async (served, trusted, problem) => {
		const directory = await temporaryDirectory("link-network");
		const file = join(directory.path, "ca.crt");
		await writeFile(file, trusted.certificate);
		await database.server.sql(`alter system set ssl_cert_file = '${served}.crt'`);
		await database.server.sql(`alter system set ssl_key_file = '${served}.key'`);
		await database.server.sql("select pg_reload_conf()");
		const wanted = options(database.urlAs({ parameters: { sslrootcert: file } }));
		try {
			const error = await waitFor("the certificate to be served", async () => {
				const thrown: unknown = await connectLink(new Consumer(), wanted).then(
					() => null,
					(reason: unknown) => reason,
				);
				return String((thrown as { context?: { problem?: string } } | null)?.context?.problem).includes(problem)
					? thrown
					: null;
			});
			expect(error).toMatchObject({ code: "SLUICE_LINK_REFUSED", retry: "operator" });
		} finally {
			await database.server.sql("alter system reset ssl_cert_file");
			await database.server.sql("alter system reset ssl_key_file");
			await database.server.sql("select pg_reload_conf()");
			await directory.remove();
		}
	});

	it("names the problem and the statement of a login that is refused", async () => {
		const refused = (databaseUrl: string) => expect(connectLink(new Consumer(), options(databaseUrl))).rejects;
		await refused(database.urlAs({ user: "only_tls", parameters: { sslmode: "disable" } })).toMatchObject({
			code: "SLUICE_LINK_REFUSED",
			context: { sqlState: "28000", problem: expect.stringContaining("without TLS") },
		});
		await refused(database.urlAs({ user: "no_login" })).toMatchObject({
			code: "SLUICE_LINK_REFUSED",
			context: { sqlState: "28000", statement: 'ALTER ROLE "no_login" WITH LOGIN' },
		});
		await refused(database.url.replace(database.name, "nowhere")).toMatchObject({
			code: "SLUICE_LINK_REFUSED",
			context: { sqlState: "3D000", statement: 'CREATE DATABASE "nowhere"' },
		});
	});

	it("names who has the slot, and ends only a walsender of its own earlier link", async () => {
		const wanted = options();
		const holder = await startLink(new Consumer(), wanted);
		const activePid = holder.facts.walsenderPid;
		await expect(connectLink(new Consumer(), wanted)).rejects.toMatchObject({
			code: "SLUICE_SLOT_IN_USE",
			context: {
				activePid,
				statement: `SELECT pg_terminate_backend(${activePid})`,
				holder: { role: "postgres", application: "sluice" },
			},
		});
		await expect(connectLink(new Consumer(), { ...wanted, formerWalsenderPid: activePid + 1 })).rejects.toMatchObject({
			context: { activePid },
		});
		await expect(connectLink(new Consumer(), { ...wanted, formerWalsenderPid: activePid })).rejects.toMatchObject({
			code: "SLUICE_SLOT_IN_USE",
			context: { holder: "ours, ended now" },
		});
		await using _link = await waitFor("the slot to be free", () => connectLink(new Consumer(), wanted));
		await holder.close();
	});

	it("looks for the publication before it starts, instead of failing at the first change", async () => {
		const publicationName = uniqueName("not made yet");
		const consumer = new Consumer();
		await using link = await connectLink(consumer, { ...options(), publicationName });
		expect(consumer.steps).toContain("publication-create");
		expect(link.facts.slotCreated).toBe(true);
	});
});
