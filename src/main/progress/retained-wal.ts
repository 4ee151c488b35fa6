/**
 * WAL that the server keeps for our slot: how much, how fast it grows, how long until the server gives the slot up,
 * and whose doing it is. Pure, but for the window of samples. Must never call an ordinary lag an alarm: restart_lsn
 * moves only every 15 s or so on a busy server, and not at all on an idle one. Called by the supervisor. Source:
 * replication.md 3.1, F21, F22; pg_replication_slots.
 */

import {
	CATALOG_XMIN_AGE_WARN,
	RETAINED_WAL_WARN_BYTES,
	RETAINED_WAL_WARN_LEFT_MS,
	RETAINED_WAL_WINDOW_MS,
} from "../../shared/limits.ts";
import type { ServerObservation } from "../../shared/messages.ts";
import type { RetentionCause, Status } from "../../shared/status.ts";

/** Samples closer together than this are one. */
const SAMPLE_SPACING_MS = 1_000;
/** Below this a slope means nothing. */
const SLOPE_SPAN_MIN_MS = 5_000;
/** An open transaction younger than this pins nothing worth naming. */
const OLD_TRANSACTION_MS = 60_000;

interface Sample {
	readonly atMs: number;
	readonly retainedBytes: number;
}

/** The last minutes of retained WAL. */
export class RetainedWalWindow {
	#samples: Sample[] = [];

	add(atMs: number, retainedBytes: number): void {
		const last = this.#samples.at(-1);
		if (last !== undefined && atMs - last.atMs < SAMPLE_SPACING_MS) {
			return;
		}
		this.#samples.push({ atMs, retainedBytes });
		this.#samples = this.#samples.filter((sample) => atMs - sample.atMs <= RETAINED_WAL_WINDOW_MS);
	}

	/** Bytes a second between the oldest and the newest sample; null while they are too close. Below zero: it shrinks. */
	get bytesPerSecond(): number | null {
		const first = this.#samples[0];
		const last = this.#samples.at(-1);
		if (first === undefined || last === undefined || last.atMs - first.atMs < SLOPE_SPAN_MIN_MS) {
			return null;
		}
		return ((last.retainedBytes - first.retainedBytes) * 1_000) / (last.atMs - first.atMs);
	}
}

/** Pure: until the server takes the WAL away, if it goes on like this. Null: never, or nobody knows. */
export function timeLeftMs(safeWalBytes: number | null, bytesPerSecond: number | null): number | null {
	if (safeWalBytes === null || bytesPerSecond === null || bytesPerSecond <= 0) {
		return null;
	}
	return Math.round((Math.max(0, safeWalBytes) / bytesPerSecond) * 1_000);
}

/**
 * Pure: who keeps it. "sluice": most of it is not acknowledged. "transaction": it is, but an old transaction is open.
 * "idle": neither; the server moves the slot on when it next logs its running transactions.
 */
export function retentionCause(server: ServerObservation): RetentionCause {
	const { retainedWalBytes, unacknowledgedWalBytes, oldestTransaction } = server;
	if (unacknowledgedWalBytes !== null && unacknowledgedWalBytes * 2 >= retainedWalBytes && retainedWalBytes > 0) {
		return "sluice";
	}
	return oldestTransaction !== null && oldestTransaction.ageMs >= OLD_TRANSACTION_MS ? "transaction" : "idle";
}

export function describeRetention(server: ServerObservation, window: RetainedWalWindow): Status["wal"] {
	const { bytesPerSecond } = window;
	return {
		retainedBytes: server.retainedWalBytes,
		unacknowledgedBytes: server.unacknowledgedWalBytes,
		bytesPerSecond: bytesPerSecond === null ? null : Math.round(bytesPerSecond),
		safeBytes: server.safeWalBytes,
		timeLeftMs: timeLeftMs(server.safeWalBytes, bytesPerSecond),
		cause: retentionCause(server),
		oldestTransaction: server.oldestTransaction,
		catalogXminAge: server.catalogXminAge,
	};
}

export interface RetentionWarning {
	/** Warnings of one kind are told rarely. */
	readonly kind: "sluice" | "transaction" | "idle" | "catalog-xmin" | "synchronous";
	readonly message: string;
	readonly remedy: string;
}

const RETENTION_REMEDY: Record<RetentionCause, string> = {
	sluice: "see `progress` and `lanes` in GET /v1/status for what is slow; raise max_slot_wal_keep_size meanwhile",
	transaction: "end the transaction: SELECT pg_terminate_backend(pid), or COMMIT/ROLLBACK PREPARED",
	idle: "run CHECKPOINT: the server then notes that nothing old is needed any more",
};

/** Pure: what an operator should be told now. */
export function retentionWarnings(wal: Status["wal"], syncState: string | null): readonly RetentionWarning[] {
	const warnings: RetentionWarning[] = [];
	if (wal !== null) {
		const much = wal.retainedBytes >= RETAINED_WAL_WARN_BYTES;
		const soon = wal.timeLeftMs !== null && wal.timeLeftMs < RETAINED_WAL_WARN_LEFT_MS;
		if (much || soon) {
			const message = soon
				? "the server will give the replication slot up soon: it keeps more and more WAL"
				: "the server keeps much WAL for the replication slot";
			warnings.push({ kind: wal.cause, message, remedy: RETENTION_REMEDY[wal.cause] });
		}
		if ((wal.catalogXminAge ?? 0) >= CATALOG_XMIN_AGE_WARN) {
			warnings.push({
				kind: "catalog-xmin",
				message: "the replication slot keeps the server from cleaning its catalogue",
				remedy: "let Sluice catch up, or drop the slot when it is not needed: SELECT pg_drop_replication_slot(…)",
			});
		}
	}
	if (syncState !== null && syncState !== "async") {
		warnings.push({
			kind: "synchronous",
			message: "the server waits for Sluice at every commit: it counts as a synchronous standby",
			remedy: "name the real standbys in synchronous_standby_names instead of '*'",
		});
	}
	return warnings;
}
