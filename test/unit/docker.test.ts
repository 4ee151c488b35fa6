/**
 * What of the image can be checked without building one: its files exist and reach the build, it runs what
 * package.json calls the command, on the node that the package asks for.
 */

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { OPTIONS } from "../../src/shared/config.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const read = (path: string): string => readFileSync(join(ROOT, path), "utf8");

const dockerfile = read("docker/Dockerfile");
const compose = read("docker/compose.yaml");
const packageJson = z
	.object({ bin: z.object({ sluice: z.string() }), engines: z.object({ node: z.string() }) })
	.parse(JSON.parse(read("package.json")));

describe("the image", () => {
	it("copies only what exists and what the ignore file lets through", () => {
		const allowed = new Set(
			Array.from(read("docker/Dockerfile.dockerignore").matchAll(/^!(.+)$/gm), ([, name]) => name),
		);
		const copied = Array.from(dockerfile.matchAll(/^COPY (?!--from)(.+) \S+$/gm), ([, names]) => names ?? "");
		const names = copied.flatMap((line) => line.split(" "));
		expect(names).toContain("src");
		expect(names.filter((name) => !allowed.has(name) || !existsSync(join(ROOT, name)))).toEqual([]);
	});

	it("runs the command of package.json under node itself, not as root", () => {
		expect(dockerfile).toContain(`CMD ["node", "${packageJson.bin.sluice}", "start"]`);
		expect(dockerfile).toMatch(/^USER node$/m);
	});

	it("has the node that the package asks for", () => {
		const major = /^>=(\d+)/.exec(packageJson.engines.node)?.[1];
		for (const [, image] of dockerfile.matchAll(/^FROM (\S+)/gm)) {
			expect(image).toBe(`node:${major}-slim`);
		}
	});

	it("is configured by variables that exist", () => {
		const known = new Set<string>(Object.values(OPTIONS).map(({ variable }) => variable));
		const used = new Set([...`${dockerfile}\n${compose}`.matchAll(/\bSLUICE_[A-Z_]+\b/g)].map(([name]) => name));
		expect([...used].filter((name) => !known.has(name))).toEqual([]);
	});
});
