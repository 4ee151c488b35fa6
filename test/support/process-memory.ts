/**
 * The memory of a process, sampled while something happens. Linux only (/proc). Called by test/faults.
 */

import { readFile } from "node:fs/promises";

const SAMPLE_MS = 50;

/** Resident bytes now; null where /proc does not tell. */
export async function residentBytes(pid: number): Promise<number | null> {
	const status = await readFile(`/proc/${pid}/status`, "utf8").catch(() => "");
	const kilobytes = /^VmRSS:\s+(\d+) kB/m.exec(status)?.[1];
	return kilobytes === undefined ? null : Number(kilobytes) * 1024;
}

export interface MemoryPeak {
	/** Resident bytes before. */
	readonly before: number;
	/** The most that was seen while `work` ran. */
	readonly peak: number;
}

/** Runs `work` and answers what the process's memory grew to meanwhile. */
export async function memoryDuring(pid: number, work: () => Promise<void>): Promise<MemoryPeak> {
	const before = (await residentBytes(pid)) ?? 0;
	let peak = before;
	let sampling: Promise<void> = Promise.resolve();
	const timer = setInterval(() => {
		sampling = residentBytes(pid).then((bytes) => {
			peak = Math.max(peak, bytes ?? 0);
		});
	}, SAMPLE_MS);
	try {
		await work();
	} finally {
		clearInterval(timer);
		await sampling;
	}
	return { before, peak };
}
