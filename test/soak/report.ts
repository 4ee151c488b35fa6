/**
 * What a soak has seen, as text. Pure. Called by run.ts.
 */

export interface FaultRecord {
	readonly name: string;
	/** From the end of the fault to the first client that saw a row written after it. */
	readonly recoveryMs: number;
}

export interface SoakResult {
	readonly minutes: number;
	readonly seed: number;
	readonly postgres: number;
	readonly faults: readonly FaultRecord[];
	readonly transactions: number;
	readonly interrupted: number;
	readonly messages: number;
	readonly refetches: number;
	readonly comparisons: number;
	readonly clients: number;
	readonly firstRssMiB: number;
	readonly lastRssMiB: number;
	readonly failures: readonly string[];
}

export function formatReport(result: SoakResult): string {
	const byName = Map.groupBy(result.faults, ({ name }) => name);
	const rows = [...byName].map(([name, records]) => {
		const times = records.map(({ recoveryMs }) => recoveryMs).sort((left, right) => left - right);
		const middle = times[Math.floor(times.length / 2)] ?? 0;
		return `| ${name} | ${records.length} | ${seconds(middle)} | ${seconds(times.at(-1) ?? 0)} |`;
	});
	const outcome = result.failures.length === 0 ? "passed" : `FAILED:\n- ${result.failures.join("\n- ")}`;
	return [
		`Soak of ${result.minutes} minutes on PostgreSQL ${result.postgres}, seed ${result.seed}: ${outcome}`,
		"",
		"| fault | times | recovery, median | longest |",
		"|---|---|---|---|",
		...rows,
		"",
		`${result.transactions} transactions committed, ${result.interrupted} ended by a fault; ${result.clients} clients took ` +
			`${result.messages} messages and began anew ${result.refetches} times; ${result.comparisons} comparisons with SELECT. ` +
			`Memory of Sluice: ${result.firstRssMiB} MiB at first, ${result.lastRssMiB} MiB at the end.`,
	].join("\n");
}

function seconds(ms: number): string {
	return `${(ms / 1_000).toFixed(1)} s`;
}
