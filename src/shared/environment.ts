/**
 * An environment as this program reads it: the reference server's variables become ours, and what is strange about the
 * names is said. Pure: environment in, variables and notes out; must never put a value into a note. Called by the
 * configuration and, for the notes, by the command line.
 */

import { ELECTRIC_ALIASES, ELECTRIC_IDLE } from "./electric-variables.ts";

export type Environment = Readonly<Record<string, string | undefined>>;

/** Something an operator should know about the names in the environment. */
export interface EnvironmentNote {
	readonly level: "info" | "warn";
	readonly message: string;
	readonly variables: readonly string[];
}

export interface ReadEnvironment {
	/** Our variables only; empty ones left out. */
	readonly values: Readonly<Record<string, string>>;
	/** Which variable a value came from, when it is not its own. */
	readonly origins: ReadonlyMap<string, string>;
	/** Values of aliases that say nothing valid, as `NAME: problem`. */
	readonly problems: readonly string[];
	readonly notes: readonly EnvironmentNote[];
}

/** Variables of the tests and benchmarks in this repository. */
const OF_TESTS = /^SLUICE_(TEST|BENCH|FUZZ|ORACLE|SOAK)_/;
/** Kubernetes tells every pod of services called "sluice" or "electric" in such variables. */
const OF_KUBERNETES = /^(SLUICE|ELECTRIC)_(SERVICE_(HOST|PORT)(_|$)|PORT_\d+_(TCP|UDP|SCTP))/;
const KUBERNETES_LINK = /^(tcp|udp|sctp):\/\//;
const NEAR_EDITS_MAX = 4;

/** @param ours every variable that the configuration knows */
export function readEnvironment(environment: Environment, ours: readonly string[]): ReadEnvironment {
	const given = (name: string): string | null => {
		const raw = environment[name];
		return raw === undefined || raw.trim() === "" ? null : raw.trim();
	};
	const values: Record<string, string> = {};
	const origins = new Map<string, string>();
	const problems: string[] = [];
	const notes: EnvironmentNote[] = [];

	const links = ["SLUICE_PORT", "ELECTRIC_PORT"].filter((name) => KUBERNETES_LINK.test(given(name) ?? ""));
	if (links.length > 0) {
		const message = "left aside: Kubernetes sets it for a service of that name; enableServiceLinks: false ends that";
		notes.push({ level: "warn", message, variables: links });
	}
	for (const name of ours) {
		const value = links.includes(name) ? null : given(name);
		if (value !== null) {
			values[name] = value;
		}
	}
	const used: string[] = [];
	const overruled: string[] = [];
	for (const alias of ELECTRIC_ALIASES) {
		const value = links.includes(alias.name) ? null : given(alias.name);
		if (value === null) {
			continue;
		}
		const translation = alias.translate(value);
		if (!translation.ok) {
			problems.push(`${alias.name}: ${translation.problem}`);
			continue;
		}
		for (const [variable, translated] of Object.entries(translation.variables)) {
			const present = values[variable];
			if (present === undefined) {
				values[variable] = translated;
				origins.set(variable, alias.name);
				used.push(`${alias.name} as ${variable}`);
			} else if (present !== translated) {
				overruled.push(`${alias.name} by ${origins.get(variable) ?? variable}`);
			}
		}
	}
	const said = (level: "info" | "warn", message: string, variables: readonly string[]): void => {
		if (variables.length > 0) {
			notes.push({ level, message, variables });
		}
	};
	said("info", "variables of Electric were taken over", used);
	said("warn", "variables of Electric are overruled by others that are set too", overruled);
	const idle = ELECTRIC_IDLE.filter(({ name }) => given(name) !== null);
	for (const level of ["warn", "info"] as const) {
		const ofLevel = idle.filter(({ isReliedOn }) => (isReliedOn === true) === (level === "warn"));
		const variables = ofLevel.map(({ name, why }) => `${name}: ${why}`);
		said(level, "variables of Electric are accepted and have no effect", variables);
	}
	said("warn", "unknown variables, is one of them misspelt?", unknownNames(environment, ours));
	return { values, origins, problems, notes };
}

function unknownNames(environment: Environment, ours: readonly string[]): string[] {
	const electric = [...ELECTRIC_ALIASES, ...ELECTRIC_IDLE].map(({ name }) => name);
	const known = [...ours, ...electric];
	return Object.keys(environment)
		.filter((name) => /^(SLUICE|ELECTRIC)_/.test(name) && environment[name]?.trim() !== "")
		.filter((name) => !known.includes(name) && !OF_TESTS.test(name) && !OF_KUBERNETES.test(name))
		.sort()
		.map((name) => {
			const near = nearestName(name, known);
			return near === null ? name : `${name} (perhaps ${near})`;
		});
}

/** The known name that takes fewest edits, if few enough. */
export function nearestName(name: string, known: readonly string[]): string | null {
	let best: string | null = null;
	let bestEdits = NEAR_EDITS_MAX + 1;
	for (const candidate of known) {
		const edits = editDistance(name, candidate);
		if (edits < bestEdits) {
			best = candidate;
			bestEdits = edits;
		}
	}
	return best;
}

/** Levenshtein: insertions, deletions and replacements of single characters. */
function editDistance(left: string, right: string): number {
	let previous = Array.from({ length: right.length + 1 }, (_unused, index) => index);
	for (let row = 1; row <= left.length; row += 1) {
		const current = [row];
		for (let column = 1; column <= right.length; column += 1) {
			const replaced = (previous[column - 1] ?? 0) + (left[row - 1] === right[column - 1] ? 0 : 1);
			current.push(Math.min(replaced, (previous[column] ?? 0) + 1, (current[column - 1] ?? 0) + 1));
		}
		previous = current;
	}
	return previous[right.length] ?? 0;
}
