/** Where the URL comes from, and what is refused before anything connects. Nothing secret in an error. */

import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parseConfig } from "../../../src/shared/config.ts";
import { databaseUrlSource, urlProblems } from "../../../src/shared/database-url.ts";
import { type TemporaryDirectory, temporaryDirectory } from "../../support/temporary-directory.ts";
import { CERTIFICATE_PATH } from "../../support/tls.ts";

const BASE = "postgresql://u:hunter2@h/d";
let directory: TemporaryDirectory;
beforeAll(async () => {
	directory = await temporaryDirectory("url");
});
afterAll(() => directory.remove());

describe("a URL", () => {
	it.each([
		["mysql://u:hunter2@h/d", "must begin with"],
		[`${BASE}?sslmode=disable&sslrootcert=${CERTIFICATE_PATH}`, "contradicts"],
		[`${BASE}?sslrootcert=/nowhere/ca.crt`, "sslrootcert cannot be read (ENOENT)"],
		[`${BASE}?sslrootcert=${new URL(import.meta.url).pathname}`, "sslrootcert holds no certificate"],
		[`${BASE}?sslmode=sometimes`, "sslmode must be"],
	])("%s is refused at the start", (url, problem) => {
		const problems = urlProblems(url, "DATABASE_URL");
		expect(problems).toEqual([expect.stringContaining(problem)]);
		expect(problems.join()).not.toContain("hunter2");
		expect(() => parseConfig({ DATABASE_URL: url })).toThrow(
			expect.objectContaining({ code: "SLUICE_CONFIG_INVALID" }),
		);
		expect(() => parseConfig({ SLUICE_POOLED_DATABASE_URL: url })).toThrow(
			expect.objectContaining({ context: { problems: [expect.stringMatching(/^SLUICE_POOLED_DATABASE_URL: /)] } }),
		);
	});

	it("with a CA file is taken", () => {
		expect(urlProblems(`${BASE}?sslrootcert=${CERTIFICATE_PATH}`, "DATABASE_URL")).toEqual([]);
	});
});

describe("a file with the URL", () => {
	it("is read anew each time, and its failure says nothing of what it held", async () => {
		const file = join(directory.path, "url");
		await writeFile(file, `${BASE}\n`);
		expect(parseConfig({ SLUICE_DATABASE_URL_FILE: file }).databaseUrl).toBe(BASE);
		const source = databaseUrlSource(BASE, file);
		expect(await source()).toBe(BASE);
		await writeFile(file, "postgresql://u:other@h/d");
		expect(await source()).toBe("postgresql://u:other@h/d");
		await writeFile(file, "nonsense hunter2");
		await expect(source()).rejects.toMatchObject({ code: "SLUICE_LINK_REFUSED", retry: "operator" });
		await rm(file);
		const error: unknown = await source().catch((thrown: unknown) => thrown);
		expect(error).toMatchObject({ code: "SLUICE_LINK_REFUSED", context: { systemCode: "ENOENT" } });
		expect(JSON.stringify(error)).not.toContain("hunter2");
	});

	it("is refused beside DATABASE_URL, and when it is not there at the start", () => {
		for (const environment of [
			{ SLUICE_DATABASE_URL_FILE: "/nowhere", DATABASE_URL: BASE },
			{ SLUICE_DATABASE_URL_FILE: "/nowhere" },
		]) {
			expect(() => parseConfig(environment)).toThrow(
				expect.objectContaining({ context: { problems: [expect.stringMatching(/^SLUICE_DATABASE_URL_FILE: /)] } }),
			);
		}
	});
});
