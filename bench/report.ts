/**
 * From measurements to text: pure. Owns medians, ratios and layout; must never measure or write. Called by run.ts.
 */

import type { Measurement, Mode, SluiceMeasurement } from "./reader.ts";
import { median } from "./readers/sluice-samples.ts";

/** All rounds of one workload at one number of shapes. */
export interface Scenario {
	readonly shapes: number;
	readonly workload: string;
	readonly rows: number;
	readonly mode: Mode;
	/** How long the load alone took, per round. */
	readonly loadMs: readonly number[];
	/** By reader; the same index is the same round, hence the same load. */
	readonly readers: readonly { readonly name: string; readonly rounds: readonly Measurement[] }[];
}

export interface Surroundings {
	readonly cpuModel: string;
	readonly cpus: number;
	readonly memoryBytes: number;
	readonly node: string;
	readonly postgres: string;
	readonly workers: number;
	readonly commit: string | null;
	/** Of the last minute, before anything was started. */
	readonly loadAverage: number;
}

export function rowsPerSecond(measurement: Measurement): number {
	return (measurement.rows * 1_000) / measurement.measuredMs;
}

/** The median over rounds of one reader's rate by another's in the same round: drift of the machine cancels out. */
export function pairedRatio(left: readonly Measurement[], right: readonly Measurement[]): number {
	const rounds = Math.min(left.length, right.length);
	const ratios: number[] = [];
	for (let round = 0; round < rounds; round += 1) {
		const [one, other] = [left[round], right[round]];
		if (one !== undefined && other !== undefined) {
			ratios.push(rowsPerSecond(one) / rowsPerSecond(other));
		}
	}
	return median(ratios);
}

/** From here on something else takes a noticeable part of the machine. */
const LOAD_AVERAGE_QUIET = 0.5;

export function formatSurroundings(surroundings: Surroundings): string {
	const gibibytes = (surroundings.memoryBytes / 1024 ** 3).toFixed(0);
	const busy = surroundings.loadAverage > LOAD_AVERAGE_QUIET;
	return [
		`${surroundings.cpus} × ${surroundings.cpuModel}, ${gibibytes} GiB; PostgreSQL ${surroundings.postgres}, Node ${surroundings.node}`,
		`PostgreSQL, readers and load share the machine; SLUICE_WORKERS=${surroundings.workers}${surroundings.commit === null ? "" : `; commit ${surroundings.commit}`}`,
		`load average before the start ${surroundings.loadAverage.toFixed(1)}${busy ? ": other programs run, so rates are too low and ratios uncertain" : ""}`,
	].join("\n");
}

/** One scenario: a table of readers, then what only Sluice reports. */
export function formatScenario(scenario: Scenario): string {
	const sluice = scenario.readers.find((reader) => reader.rounds.some((round) => round.sluice !== null));
	const rounds = Math.max(0, ...scenario.readers.map((reader) => reader.rounds.length));
	const title = `${count(scenario.shapes)} shape${scenario.shapes === 1 ? "" : "s"} · ${scenario.workload} · ${scenario.mode} (${count(scenario.rows)} rows, ${rounds} round${rounds === 1 ? "" : "s"}; the load alone takes ${seconds(median(scenario.loadMs))})`;
	const table = scenario.readers.map(({ name, rounds: measurements }) => {
		const rates = measurements.map(rowsPerSecond);
		return [
			name,
			count(median(rates)),
			`${count(Math.min(...rates))} – ${count(Math.max(...rates))}`,
			seconds(median(measurements.map((round) => round.measuredMs))),
			optional(
				measurements.map((round) => round.firstDataMs),
				seconds,
			),
			optional(
				measurements.map((round) => round.cpuMs),
				count,
			),
			optional(
				measurements.map((round) => round.walsenderCpuMs),
				count,
			),
			optional(
				measurements.map((round) => round.bytesPerRead),
				count,
			),
			sluice === undefined || sluice.name === name ? "" : `${pairedRatio(sluice.rounds, measurements).toFixed(2)} ×`,
		];
	});
	const header = [
		"reader",
		"rows/s",
		"range",
		"time",
		"to first data",
		"CPU ms",
		"walsender CPU ms",
		"bytes/read",
		"Sluice is",
	];
	const details = (sluice?.rounds ?? []).flatMap((round) => (round.sluice === null ? [] : [round.sluice]));
	return [
		title,
		formatTable(header, table),
		...(details.length === 0 ? [] : [formatSluice(details, scenario.rows)]),
	].join("\n");
}

function formatSluice(rounds: readonly SluiceMeasurement[], rows: number): string {
	const middle = (pick: (round: SluiceMeasurement) => number): number => median(rounds.map(pick));
	const worst = (pick: (round: SluiceMeasurement) => number): number => Math.max(...rounds.map(pick));
	const threads = [...new Set(rounds.flatMap((round) => Object.keys(round.cpuMsByThread)))];
	const cpu = threads.map((thread) => `${thread} ${count(middle((round) => round.cpuMsByThread[thread] ?? 0))}`);
	const gauges = [...new Set(rounds.flatMap((round) => Object.keys(round.gauges)))];
	const lines = [
		`synced after ${seconds(middle((round) => round.durableMs))} (${count((rows * 1_000) / middle((round) => round.durableMs))} rows/s)`,
		`CPU ms by thread: ${cpu.join(", ")}`,
		`main loop delay: p50 ${worst((round) => round.mainDelayMs.p50).toFixed(1)} ms, p99 ${worst((round) => round.mainDelayMs.p99).toFixed(1)} ms, max ${worst((round) => round.mainDelayMs.max).toFixed(1)} ms (worst round)`,
		`largest keepalive gap ${seconds(worst((round) => round.keepaliveGapMs))} at an interval of ${seconds(worst((round) => round.keepaliveIntervalMs))}; connections ${worst((round) => round.connects)}`,
		`memory: idle ${mebibytes(middle((round) => round.idleRssBytes))}, peak ${mebibytes(worst((round) => round.peakRssBytes))} (+${mebibytes(worst((round) => round.peakRssBytes - round.idleRssBytes))}); window peak ${mebibytes(worst((round) => round.windowPeakBytes))}, pauses ${count(middle((round) => round.pauses))}`,
		`batches ${count(middle((round) => round.batches))} (${count(
			rows /
				Math.max(
					1,
					middle((round) => round.batches),
				),
		)} rows each)`,
		...(gauges.length === 0
			? []
			: [
					`lane gauges: ${gauges.map((name) => `${name} ${count(middle((round) => round.gauges[name] ?? 0))}`).join(", ")}`,
				]),
	];
	return lines.map((line) => `  ${line}`).join("\n");
}

/** All scenarios in one Markdown table: rates, and Sluice's ratio to each other reader. */
export function formatSummary(scenarios: readonly Scenario[]): string {
	const rows = scenarios.map((scenario) => {
		const sluice = scenario.readers.find((reader) => reader.rounds.some((round) => round.sluice !== null));
		const cells = [count(scenario.shapes), scenario.workload, scenario.mode];
		for (const name of readerNames(scenarios)) {
			const reader = scenario.readers.find((candidate) => candidate.name === name);
			cells.push(
				reader === undefined
					? "–"
					: `${count(median(reader.rounds.map(rowsPerSecond)))}${sluice === undefined ? "" : ` (${pairedRatio(sluice.rounds, reader.rounds).toFixed(2)} ×)`}`,
			);
		}
		cells.push(sluice === undefined ? "–" : count(median(sluice.rounds.map(rowsPerSecond))));
		return cells;
	});
	const header = [
		"shapes",
		"load",
		"mode",
		...readerNames(scenarios).map((name) => `${name}, rows/s (Sluice ÷ it)`),
		"Sluice, rows/s",
	];
	return formatTable(header, rows);
}

function readerNames(scenarios: readonly Scenario[]): readonly string[] {
	const reference = scenarios.flatMap((scenario) =>
		scenario.readers.filter((reader) => reader.rounds.every((round) => round.sluice === null)),
	);
	return [...new Set(reference.map((reader) => reader.name))];
}

/** A Markdown table, padded so that it reads well in a terminal. */
export function formatTable(header: readonly string[], rows: readonly (readonly string[])[]): string {
	const widths = header.map((title, column) =>
		Math.max(title.length, 3, ...rows.map((row) => (row[column] ?? "").length)),
	);
	const line = (cells: readonly string[]): string =>
		`| ${widths.map((width, column) => pad(cells[column] ?? "", width, column)).join(" | ")} |`;
	const rule = `|${widths.map((width, column) => (column === 0 ? "-".repeat(width + 2) : `${"-".repeat(width + 1)}:`)).join("|")}|`;
	return [line(header), rule, ...rows.map(line)].join("\n");
}

function pad(text: string, width: number, column: number): string {
	return column === 0 ? text.padEnd(width) : text.padStart(width);
}

function optional(values: readonly (number | null)[], format: (value: number) => string): string {
	const known = values.filter((value) => value !== null);
	return known.length === 0 ? "–" : format(median(known));
}

/** Thousands apart by spaces. */
export function count(value: number): string {
	return Math.round(value).toLocaleString("en-US").replaceAll(",", " ");
}

function seconds(milliseconds: number): string {
	return `${(milliseconds / 1_000).toFixed(2)} s`;
}

function mebibytes(bytes: number): string {
	return `${(bytes / 1024 ** 2).toFixed(0)} MiB`;
}
