/**
 * The repository checks itself: who imports whom, which room may use which package (read from the table in
 * docs/ARCHITECTURE.md, so page and code cannot drift apart), and what no file may contain.
 */

import { readdirSync, readFileSync } from "node:fs";
import { builtinModules } from "node:module";
import { basename, dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const LINES_MAX = 450;

interface SourceFile {
	/** From the root, with slashes. */
	readonly path: string;
	readonly text: string;
	/** The text without comments and without what stands in quotes. */
	readonly code: string;
	readonly imports: readonly string[];
}

function filesBelow(directory: string): string[] {
	return readdirSync(join(ROOT, directory), { recursive: true, withFileTypes: true })
		.filter((entry) => entry.isFile())
		.map((entry) => relative(ROOT, join(entry.parentPath, entry.name)).replaceAll("\\", "/"))
		.sort();
}

/** One pass over comments, quoted text and regular expressions, whichever begins first. */
const COMMENT_OR_QUOTED =
	/\/\*[\s\S]*?\*\/|\/\/[^\n]*|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`(?:\\[\s\S]|[^`\\])*`|(?<=[(=,:[!&|?]\s*)\/(?![*/])(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n])+\/[a-z]*/g;

function withoutComments(text: string): string {
	return text.replace(COMMENT_OR_QUOTED, (found) => (/^\/[*/]/.test(found) ? " " : found));
}

function importsOf(text: string): string[] {
	// What a template holds may look like an import and is only text.
	const found = text
		.replace(COMMENT_OR_QUOTED, (part) => (/^(?:\/[*/]|`)/.test(part) ? " " : part))
		.matchAll(
			/(?:^|\n)\s*(?:import|export)\b[^"';]*?\bfrom\s*"([^"]+)"|(?:^|\n)\s*import\s*"([^"]+)"|\bimport\(\s*"([^"]+)"\s*\)/g,
		);
	return Array.from(found, (match) => match[1] ?? match[2] ?? match[3] ?? "");
}

function load(directories: readonly string[]): SourceFile[] {
	return directories
		.flatMap(filesBelow)
		.filter((path) => path.endsWith(".ts"))
		.map((path) => {
			const text = readFileSync(join(ROOT, path), "utf8");
			const code = text.replace(COMMENT_OR_QUOTED, (found) => (/^\/[*/]/.test(found) ? " " : '""'));
			return { path, text, code, imports: importsOf(text) };
		});
}

const source = load(["src"]);
const everything = load(["src", "test", "bench"]);

/** The file that a relative import names, from the root; null for packages. */
function target(file: SourceFile, specifier: string): string | null {
	return specifier.startsWith(".") ? relative(ROOT, resolve(ROOT, dirname(file.path), specifier)) : null;
}

/** `src/main/link`, or null for files beside the rooms. */
function roomOf(path: string): string | null {
	return /^src\/(?:main|workers)\/[^/]+(?=\/)/.exec(path)?.[0] ?? null;
}

/** `pg` of `pg/lib/x`, `@scope/name` of a scoped one, `node:fs` of `fs/promises`. */
function packageOf(specifier: string): string {
	const bare = specifier.replace(/^node:/, "");
	const parts = bare.split("/");
	const name = bare.startsWith("@") ? parts.slice(0, 2).join("/") : (parts[0] ?? bare);
	return specifier.startsWith("node:") || builtinModules.includes(name) ? `node:${name}` : name;
}

/** Every import that breaks a rule, as "file imports what". */
function offences(files: readonly SourceFile[], breaks: (file: SourceFile, specifier: string) => boolean): string[] {
	return files.flatMap((file) =>
		file.imports.filter((specifier) => breaks(file, specifier)).map((specifier) => `${file.path} imports ${specifier}`),
	);
}

/** The rows of the table "Rooms and what they may import": a path, and the packages beside `shared`. */
function allowedPackages(): Map<string, Set<string>> {
	const page = readFileSync(join(ROOT, "docs/ARCHITECTURE.md"), "utf8");
	const allowed = new Map<string, Set<string>>();
	for (const row of page.matchAll(/^\| (`src\/[^|]*)\|[^|]*\|[^|]*\|([^|]*)\|$/gm)) {
		const names = Array.from((row[1] ?? "").matchAll(/`([^`]+)`/g), (match) => (match[1] ?? "").replace(/\/$/, ""));
		const base = dirname(names[0] ?? "");
		const packages = new Set(
			(row[2] ?? "")
				.split(",")
				.map((name) => name.trim())
				.filter((name) => /^[@a-z]/.test(name)),
		);
		for (const name of names) {
			allowed.set(name.startsWith("src/") ? name : join(base, name), packages);
		}
	}
	return allowed;
}

describe("who imports whom", () => {
	it("main and workers never import each other", () => {
		expect(
			offences(source, (file, specifier) => {
				const path = target(file, specifier);
				return (
					(file.path.startsWith("src/main/") && path?.startsWith("src/workers/") === true) ||
					(file.path.startsWith("src/workers/") && path?.startsWith("src/main/") === true)
				);
			}),
		).toEqual([]);
	});

	it("a room imports itself and shared, no sibling and no entry", () => {
		expect(
			offences(source, (file, specifier) => {
				const room = roomOf(file.path);
				const path = target(file, specifier);
				return room !== null && path !== null && !path.startsWith(`${room}/`) && !path.startsWith("src/shared/");
			}),
		).toEqual([]);
	});

	it("shared imports nothing but shared", () => {
		expect(
			offences(source, (file, specifier) => {
				const path = target(file, specifier);
				return file.path.startsWith("src/shared/") && path !== null && !path.startsWith("src/shared/");
			}),
		).toEqual([]);
	});

	it("nothing in src imports tests or benchmarks", () => {
		expect(offences(source, (file, specifier) => target(file, specifier)?.startsWith("src/") === false)).toEqual([]);
	});
});

describe("what the rooms may use", () => {
	const allowed = allowedPackages();

	it("every room stands in the table of docs/ARCHITECTURE.md", () => {
		const rooms = new Set(source.map((file) => roomOf(file.path)).filter((room) => room !== null));
		expect([...rooms].filter((room) => !allowed.has(room))).toEqual([]);
	});

	it("third-party packages appear only in the rooms that the table gives them", () => {
		expect(
			offences(source, (file, specifier) => {
				const name = packageOf(specifier);
				if (specifier.startsWith(".") || name.startsWith("node:")) {
					return false;
				}
				const key = file.path.startsWith("src/shared/") ? "src/shared" : (roomOf(file.path) ?? file.path);
				return allowed.get(key)?.has(name) !== true;
			}),
		).toEqual([]);
	});

	it("main touches no file, no SQLite, no HTTP and no SQL parser, except before the daemon starts", () => {
		const forbidden = new Set(["node:fs", "node:sqlite", "node:http", "node:https", "libpg-query"]);
		expect(
			offences(
				source,
				(file, specifier) =>
					file.path.startsWith("src/main/") &&
					!file.path.startsWith("src/main/local-postgres/") &&
					file.path !== "src/main/index.ts" &&
					forbidden.has(packageOf(specifier)),
			),
		).toEqual([]);
	});

	it("SQLite stays with the registrar and the HTTP server with the HTTP threads", () => {
		expect(
			offences(source, (file, specifier) => {
				const name = packageOf(specifier);
				return (
					(name === "node:sqlite" && roomOf(file.path) !== "src/workers/registrar") ||
					(name === "node:http" && roomOf(file.path) !== "src/workers/http")
				);
			}),
		).toEqual([]);
	});
});

function containing(files: readonly SourceFile[], pattern: RegExp, part: "code" | "text"): string[] {
	return files.flatMap((file) =>
		Array.from(file[part].matchAll(pattern), (match) => `${file.path}: ${match[0].trim()}`),
	);
}

describe("what no file contains", () => {
	it("every source file opens with a comment that says what it owns", () => {
		expect(source.filter((file) => !/^(?:#![^\n]*\n)?\/\*\*\n \* \S/.test(file.text)).map(({ path }) => path)).toEqual(
			[],
		);
	});

	it("no console in src", () => {
		expect(containing(source, /\bconsole\s*\./g, "code")).toEqual([]);
	});

	it("no any", () => {
		expect(containing(everything, /(?:\bas\s+|[:<|,]\s*)any\b(?!\s*[:(])/g, "code")).toEqual([]);
	});

	it("no assertion that something is not null", () => {
		expect(containing(everything, /[\w\])]!(?=[.[;,)\s](?!=))/g, "code")).toEqual([]);
	});

	it("no work left for later, and no switched-off compiler", () => {
		const marks = new RegExp(
			["TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK", "@ts-" + "\\w+"].map((mark) => `${mark}\\b`).join("|"),
			"g",
		);
		expect(containing(everything, marks, "text")).toEqual([]);
	});

	it("no name that says nothing", () => {
		const empty = /^(?:utils?|helpers?|manager|common|misc)(?:\.|$)|-(?:utils?|helpers?|manager)\./;
		const names = everything.flatMap(({ path }) => [path, dirname(path)]);
		expect(names.filter((name) => empty.test(basename(name)))).toEqual([]);
	});

	it(`no file longer than ${LINES_MAX} lines`, () => {
		const lengths = everything.map(({ path, text }) => ({ path, lines: text.split("\n").length - 1 }));
		expect(lengths.filter(({ lines }) => lines > LINES_MAX)).toEqual([]);
	});
});

describe("tests", () => {
	const tests = everything.filter(({ path }) => path.startsWith("test/"));

	it("none runs alone", () => {
		expect(containing(tests, /\.only\s*\(/g, "code")).toEqual([]);
	});

	it("none is skipped without its reason, a because, in its name", () => {
		const skip = /\b(?:it|test|describe)\.(?:skip|todo|fails)\s*\(\s*(["'`])([\s\S]*?)\1/g;
		const skips = tests.flatMap((file) =>
			Array.from(withoutComments(file.text).matchAll(skip), (match) => `${file.path}: ${match[2]}`),
		);
		expect(skips.filter((text) => !text.includes("because"))).toEqual([]);
	});
});
