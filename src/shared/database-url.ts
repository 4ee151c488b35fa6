/**
 * Where the database URL comes from: a setting that stays, or a file that is read anew whenever a connection is
 * made, so that a rotated password is picked up without a restart. Owns the checks that a URL must pass at the start;
 * must never put a URL into an error. Called by the configuration and by every room that connects.
 */

import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { SluiceError } from "./errors.ts";
import { connectAttempts } from "./tls-attempts.ts";

/** Answers the URL to use for a connection that is made now. @throws SluiceError `SLUICE_LINK_REFUSED` */
export type DatabaseUrl = () => Promise<string>;

/** A file that holds a URL and nothing else. */
export const URL_FILE_VARIABLE = "SLUICE_DATABASE_URL_FILE";

/** The URL's source: the file when there is one, else what never changes. */
export function databaseUrlSource(databaseUrl: string, file: string | undefined): DatabaseUrl {
	if (file === undefined) {
		return () => Promise.resolve(databaseUrl);
	}
	return async () => {
		let text: string;
		try {
			text = await readFile(file, "utf8");
		} catch (cause) {
			throw new SluiceError("SLUICE_LINK_REFUSED", {
				step: "read-url",
				problem: `the file named in ${URL_FILE_VARIABLE} cannot be read`,
				systemCode: systemCodeOf(cause),
			});
		}
		const url = text.trim();
		const [problem] = urlProblems(url, URL_FILE_VARIABLE);
		if (problem !== undefined) {
			throw new SluiceError("SLUICE_LINK_REFUSED", { step: "read-url", problem });
		}
		return url;
	};
}

/** The content of the file at the start; `problem` instead when it cannot be read. */
export function readUrlFile(file: string): { readonly url: string } | { readonly problem: string } {
	try {
		return { url: readFileSync(file, "utf8").trim() };
	} catch (cause) {
		return { problem: `${URL_FILE_VARIABLE}: cannot be read (${systemCodeOf(cause) ?? "no file"})` };
	}
}

/** What is wrong with a URL, each as `VARIABLE: …`; empty when it can be tried. Looks at the certificate files too. */
export function urlProblems(url: string, variable: string): readonly string[] {
	if (!/^postgres(ql)?:\/\//.test(url)) {
		return [`${variable}: must begin with postgresql:// or postgres://`];
	}
	try {
		connectAttempts(url);
	} catch (error) {
		const problems = error instanceof SluiceError ? error.context["problems"] : null;
		return Array.isArray(problems)
			? problems.map((problem) => String(problem).replace("DATABASE_URL", () => variable))
			: [`${variable}: cannot be parsed`];
	}
	const cut = url.indexOf("?");
	const parameters = new URLSearchParams(cut < 0 ? "" : url.slice(cut + 1));
	return ["sslrootcert", "sslcert", "sslkey"].flatMap((name) => {
		const path = parameters.get(name);
		const problem = path === null || path === "system" ? null : fileProblem(path, name !== "sslkey");
		return problem === null ? [] : [`${variable}: ${name} ${problem}`];
	});
}

function fileProblem(path: string, isCertificate: boolean): string | null {
	let content: Buffer;
	try {
		content = readFileSync(path);
	} catch (cause) {
		return `cannot be read (${systemCodeOf(cause) ?? "no file"})`;
	}
	try {
		return isCertificate && new X509Certificate(content).subject === null ? "holds no certificate" : null;
	} catch {
		return "holds no certificate";
	}
}

function systemCodeOf(cause: unknown): string | null {
	return cause instanceof Error && "code" in cause && typeof cause.code === "string" ? cause.code : null;
}
