/**
 * The reference server's variables: every row of its table (shape-http-api.md 21) is known, says what it said there,
 * and gives way to ours; strange names are told.
 */

import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { describe, expect, it } from "vitest";
import { configurationNotes, OPTIONS, parseConfig } from "../../../src/shared/config.ts";
import {
	ELECTRIC_ALIASES,
	ELECTRIC_IDLE,
	electricTable,
	parseDuration,
	parseSize,
} from "../../../src/shared/electric-variables.ts";
import { nearestName } from "../../../src/shared/environment.ts";
import { SluiceError } from "../../../src/shared/errors.ts";

const VARIABLES = Object.values(OPTIONS).map((option) => option.variable as string);

function problemsOf(environment: Record<string, string>): unknown {
	try {
		parseConfig(environment);
	} catch (error) {
		if (error instanceof SluiceError) {
			return error.context["problems"];
		}
	}
	return null;
}

describe("a variable of Electric", () => {
	it.each([
		["ELECTRIC_SECRET", "s3cret", { secret: "s3cret" }],
		["ELECTRIC_INSECURE", "true", { insecure: true }],
		["ELECTRIC_PORT", "3100", { port: 3100 }],
		["ELECTRIC_STORAGE_DIR", "/var/electric", { dataDir: resolve("/var/electric/sluice") }],
		["ELECTRIC_REPLICATION_STREAM_ID", "other", { streamId: "other" }],
		["ELECTRIC_LONG_POLL_TIMEOUT", "15000", { longPollTimeoutMs: 15_000 }],
		["ELECTRIC_LONG_POLL_TIMEOUT", "1.5s", { longPollTimeoutMs: 1_500 }],
		["ELECTRIC_CACHE_MAX_AGE", "5", { cacheMaxAgeSeconds: 5 }],
		["ELECTRIC_CACHE_STALE_AGE", "6", { cacheStaleAgeSeconds: 6 }],
		["ELECTRIC_SHAPE_CHUNK_BYTES_THRESHOLD", "5MiB", { chunkBytes: 5 * 1024 * 1024 }],
		["ELECTRIC_SHAPE_CHUNK_BYTES_THRESHOLD", "1000", { chunkBytes: 1_000 }],
		[
			"ELECTRIC_MAX_CONCURRENT_REQUESTS",
			'{"initial":7,"existing":9}',
			{ maxInitialRequests: 7, maxExistingRequests: 9 },
		],
		["ELECTRIC_MAX_CONCURRENT_REQUESTS", '{"existing":9}', { maxInitialRequests: 300, maxExistingRequests: 9 }],
		["ELECTRIC_MAX_SHAPES", "50", { maxShapes: 50 }],
		["ELECTRIC_EXPERIMENTAL_MAX_SHAPES", "51", { maxShapes: 51 }],
		["ELECTRIC_ENABLE_INTEGRATION_TESTING", "true", { enableShapeDeletion: true }],
		["ELECTRIC_LOG_LEVEL", "warning", { logLevel: "warn" }],
		["ELECTRIC_LOG_LEVEL", "debug", { logLevel: "debug" }],
		["ELECTRIC_PROMETHEUS_PORT", "9090", { adminPort: 9090 }],
		["ELECTRIC_TWEAKS_SCHEMA_RECONCILER_PERIOD", "2min", { reconcileIntervalMs: 120_000 }],
	])("%s=%s means the same here", (variable, value, expected) => {
		expect(parseConfig({ [variable]: value })).toMatchObject(expected);
		expect(configurationNotes({ [variable]: value })).toEqual([
			expect.objectContaining({
				level: "info",
				variables: expect.arrayContaining([expect.stringContaining(variable)]),
			}),
		]);
	});

	it("ELECTRIC_LISTEN_ON_IPV6=true listens on every address, and still needs a secret", () => {
		expect(parseConfig({ ELECTRIC_LISTEN_ON_IPV6: "true", ELECTRIC_SECRET: "s" }).host).toBe("::");
		expect(parseConfig({ ELECTRIC_LISTEN_ON_IPV6: "false" }).host).toBe("127.0.0.1");
		expect(() => parseConfig({ ELECTRIC_LISTEN_ON_IPV6: "true" })).toThrow(
			expect.objectContaining({ code: "SLUICE_INSECURE_REFUSED" }),
		);
	});

	it("gives way to ours, and the log says so without a value", () => {
		const environment = { ELECTRIC_SECRET: "theirs", SLUICE_SECRET: "ours", ELECTRIC_PORT: "1", SLUICE_PORT: "1" };
		expect(parseConfig(environment)).toMatchObject({ secret: "ours", port: 1 });
		const notes = configurationNotes(environment);
		expect(notes).toEqual([
			{ level: "warn", message: expect.stringContaining("overruled"), variables: ["ELECTRIC_SECRET by SLUICE_SECRET"] },
		]);
		expect(JSON.stringify(notes)).not.toMatch(/theirs|ours"/);
	});

	it("gives way to its own newer name", () => {
		const environment = { ELECTRIC_EXPERIMENTAL_MAX_SHAPES: "3", ELECTRIC_MAX_SHAPES: "4" };
		expect(parseConfig(environment).maxShapes).toBe(4);
		expect(configurationNotes(environment).map(({ level }) => level)).toEqual(["info", "warn"]);
	});

	it.each([
		["ELECTRIC_PORT", "abc", 'ELECTRIC_PORT: must be a whole number from 0 to 65535, not "abc"'],
		[
			"ELECTRIC_LONG_POLL_TIMEOUT",
			"10 parsecs",
			"ELECTRIC_LONG_POLL_TIMEOUT: must be a number of milliseconds, or one with ms, s or min",
		],
		[
			"ELECTRIC_LONG_POLL_TIMEOUT",
			"5min",
			'ELECTRIC_LONG_POLL_TIMEOUT: must be a whole number from 0 to 40000, not "300000"',
		],
		[
			"ELECTRIC_SHAPE_CHUNK_BYTES_THRESHOLD",
			"10 furlongs",
			"ELECTRIC_SHAPE_CHUNK_BYTES_THRESHOLD: must be a number of bytes, or one with KB, KiB, MB, MiB, GB or GiB",
		],
		[
			"ELECTRIC_MAX_CONCURRENT_REQUESTS",
			"300",
			'ELECTRIC_MAX_CONCURRENT_REQUESTS: must be a JSON object such as {"initial":300,"existing":10000}',
		],
		[
			"ELECTRIC_MAX_CONCURRENT_REQUESTS",
			'{"initial":"x"}',
			'ELECTRIC_MAX_CONCURRENT_REQUESTS: must be a JSON object such as {"initial":300,"existing":10000}',
		],
		["ELECTRIC_LOG_LEVEL", "loud", "ELECTRIC_LOG_LEVEL: must be error, warning, info or debug"],
		["ELECTRIC_LISTEN_ON_IPV6", "maybe", "ELECTRIC_LISTEN_ON_IPV6: must be true or false"],
		["SLUICE_PORT", "abc", 'SLUICE_PORT: must be a whole number from 0 to 65535, not "abc"'],
		["SLUICE_INSECURE", "maybe", 'SLUICE_INSECURE: must be true or false, not "maybe"'],
	])("%s=%s is refused by its own name", (variable, value, problem) => {
		expect(problemsOf({ [variable]: value })).toEqual([problem]);
	});

	it.each(ELECTRIC_IDLE)("$name is accepted and changes nothing", ({ name, why, isReliedOn }) => {
		const level = isReliedOn === true ? "warn" : "info";
		expect(parseConfig({ [name]: "7" })).toEqual(parseConfig({}));
		expect(configurationNotes({ [name]: "7" })).toEqual([
			{ level, message: expect.stringContaining("no effect"), variables: [`${name}: ${why}`] },
		]);
	});

	it("warns of a certificate that is not looked at", () => {
		const notes = configurationNotes({ ELECTRIC_DATABASE_CA_CERTIFICATE_FILE: "/ca.pem", ELECTRIC_DB_POOL_SIZE: "5" });
		expect(notes.map(({ level, variables }) => [level, variables.map((text) => text.split(":")[0])])).toEqual([
			["warn", ["ELECTRIC_DATABASE_CA_CERTIFICATE_FILE"]],
			["info", ["ELECTRIC_DB_POOL_SIZE"]],
		]);
	});

	it("leads to a variable that exists, and stands in the table once", () => {
		for (const { name, variables } of ELECTRIC_ALIASES) {
			expect(VARIABLES, name).toEqual(expect.arrayContaining([...variables]));
		}
		const names = [...ELECTRIC_ALIASES, ...ELECTRIC_IDLE].map(({ name }) => name);
		expect(new Set(names).size).toBe(names.length);
	});
});

describe("durations and sizes", () => {
	it.each([
		["20000", 20_000],
		["0.5", 1],
		["10s", 10_000],
		["10 sec", 10_000],
		["250ms", 250],
		["250 msec", 250],
		["1.5m", 90_000],
		["2MIN", 120_000],
		["-1", null],
		["1h", null],
		["s", null],
		["1s2s", null],
		["constructor", null],
		["1 constructor", null],
	])("%s is %s ms", (text, expected) => {
		expect(parseDuration(text)).toBe(expected);
	});

	it.each([
		["10485760", 10_485_760],
		["10KB", 10_000],
		["10KiB", 10_240],
		["1.5MB", 1_500_000],
		["2 mib", 2_097_152],
		["1GB", 1_000_000_000],
		["1GiB", 1_073_741_824],
		["1TB", null],
		["1e3", null],
	])("%s is %s bytes", (text, expected) => {
		expect(parseSize(text)).toBe(expected);
	});
});

describe("a name that nobody knows", () => {
	it("is warned about, with the nearest one", () => {
		expect(configurationNotes({ SLUICE_PROT: "1", ELECTRIC_SECRT: "x", SLUICE_ZZZZZZZZZZZZZ: "1" })).toEqual([
			{
				level: "warn",
				message: expect.stringContaining("unknown"),
				variables: [
					"ELECTRIC_SECRT (perhaps ELECTRIC_SECRET)",
					"SLUICE_PROT (perhaps SLUICE_PORT)",
					"SLUICE_ZZZZZZZZZZZZZ",
				],
			},
		]);
		expect(nearestName("SLUICE_LOGLEVEL", VARIABLES)).toBe("SLUICE_LOG_LEVEL");
	});

	it("is none of ours when tests or Kubernetes set it, and a service link is no port", () => {
		const environment = {
			SLUICE_TEST_POSTGRES: "18",
			SLUICE_SERVICE_HOST: "10.0.0.1",
			SLUICE_SERVICE_PORT_HTTP: "80",
			ELECTRIC_PORT_3000_TCP_ADDR: "10.0.0.2",
			SLUICE_PORT: "tcp://10.0.0.1:80",
			ELECTRIC_PORT: "tcp://10.0.0.2:3000",
			OTHER: "1",
		};
		expect(parseConfig(environment).port).toBe(3000);
		expect(configurationNotes(environment)).toEqual([
			{ level: "warn", message: expect.stringContaining("Kubernetes"), variables: ["SLUICE_PORT", "ELECTRIC_PORT"] },
		]);
	});

	it("is not noticed when it is empty", () => {
		expect(configurationNotes({ SLUICE_PROT: "", ELECTRIC_PORT: " " })).toEqual([]);
	});
});

describe("the README", () => {
	it("holds the table of Electric's variables as the code has it", () => {
		const readme = readFileSync(new URL("../../../README.md", import.meta.url), "utf8");
		const table = /<!-- electric:begin -->\n+([\s\S]*?)\n+<!-- electric:end -->/.exec(readme)?.[1];
		expect(table).toBe(electricTable());
	});
});
