/**
 * The configuration: defaults, all problems at once, nothing secret in an error, and a README in step.
 */

import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { describe, expect, it } from "vitest";
import { configurationTable, OPTIONS, parseConfig, publicationName, slotName } from "../../../src/shared/config.ts";
import { SluiceError } from "../../../src/shared/errors.ts";

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

describe("the configuration", () => {
	it("is complete without a single variable, and what the table of options says", () => {
		const config = parseConfig({});
		for (const [key, option] of Object.entries(OPTIONS)) {
			const value = config[key as keyof typeof config];
			const shown = typeof value === "string" && option.variable === "SLUICE_DATA_DIR" ? ".sluice/data" : value;
			if (value !== undefined) {
				expect(String(shown), option.variable).toBe(option.defaultText);
			}
		}
		expect(config.dataDir).toBe(resolve(".sluice/data"));
	});

	it("can neither be changed nor fail to reach another thread", () => {
		const config = parseConfig({ DATABASE_URL: "postgresql://u@h/d" });
		expect(Object.isFrozen(config)).toBe(true);
		expect(structuredClone(config)).toEqual(config);
	});

	it("takes an empty variable for an absent one", () => {
		expect(parseConfig({ SLUICE_PORT: "", DATABASE_URL: " ", SLUICE_SECRET: "\t" })).toEqual(parseConfig({}));
	});

	it("reports all problems at once, by the names of their variables", () => {
		const problems = problemsOf({
			DATABASE_URL: "mysql://h/d",
			SLUICE_PORT: "70000",
			SLUICE_WORKERS: "0",
			SLUICE_STREAM_ID: "Not Allowed",
			SLUICE_LOG_LEVEL: "loud",
			SLUICE_INSECURE: "maybe",
		});
		expect(problems).toEqual(
			["SLUICE_PORT", "SLUICE_WORKERS", "SLUICE_INSECURE", "SLUICE_STREAM_ID", "SLUICE_LOG_LEVEL", "DATABASE_URL"].map(
				(variable) => expect.stringMatching(`^${variable}: .+`),
			),
		);
	});

	it.each([
		["SLUICE_PORT", "1.5"],
		["SLUICE_PORT", "-1"],
		["SLUICE_PORT", "http"],
		["SLUICE_WORKERS", "1e9"],
		["SLUICE_CHUNK_BYTES", "NaN"],
		["SLUICE_CHUNK_BYTES", "0"],
		["SLUICE_LONG_POLL_TIMEOUT_MS", "40001"],
		["SLUICE_STREAM_ID", "a".repeat(41)],
		["SLUICE_STREAM_ID", "a;drop"],
		["DATABASE_URL", "localhost:5432"],
	])("refuses %s=%s", (variable, value) => {
		expect(problemsOf({ [variable]: value })).toEqual([expect.stringMatching(`^${variable}: `)]);
	});

	it("refuses one port for both listeners, unless the system picks them", () => {
		expect(problemsOf({ SLUICE_PORT: "4000", SLUICE_ADMIN_PORT: "4000" })).toEqual([
			expect.stringMatching("^SLUICE_ADMIN_PORT: "),
		]);
		expect(parseConfig({ SLUICE_PORT: "0", SLUICE_ADMIN_PORT: "0" })).toMatchObject({ port: 0, adminPort: 0 });
	});

	it("never repeats a secret or a URL in an error", () => {
		const hidden = "hunter2";
		for (const environment of [
			{ DATABASE_URL: `mysql://user:${hidden}@h/d`, SLUICE_SECRET: hidden, SLUICE_PORT: "x" },
			{ SLUICE_SECRET: hidden, SLUICE_WORKERS: "none" },
		]) {
			expect(JSON.stringify(problemsOf(environment))).not.toContain(hidden);
		}
	});

	it.each(["0.0.0.0", "::", "192.0.2.1", "example.org"])("does not listen on %s without a secret", (host) => {
		expect(() => parseConfig({ SLUICE_HOST: host })).toThrow(
			expect.objectContaining({ code: "SLUICE_INSECURE_REFUSED", context: { host } }),
		);
		expect(parseConfig({ SLUICE_HOST: host, SLUICE_SECRET: "s" }).host).toBe(host);
		expect(parseConfig({ SLUICE_HOST: host, SLUICE_INSECURE: "true" }).host).toBe(host);
	});

	it("names slot and publication after the stream, within PostgreSQL's 63 bytes", () => {
		const config = parseConfig({ SLUICE_STREAM_ID: "z".repeat(40) });
		for (const name of [slotName(config), publicationName(config)]) {
			expect(name).toMatch(/^sluice_(slot|publication)_z{40}$/);
			expect(Buffer.byteLength(name)).toBeLessThanOrEqual(63);
		}
	});
});

describe("the README", () => {
	it("holds the table of options as the code has it", () => {
		const readme = readFileSync(new URL("../../../README.md", import.meta.url), "utf8");
		const table = /<!-- configuration:begin -->\n+([\s\S]*?)\n+<!-- configuration:end -->/.exec(readme)?.[1];
		expect(table).toBe(configurationTable());
	});
});
