/**
 * What a client is told when a request cannot be served: one mapping from errors to status, headers and body
 * (shape-http-api.md 4, 5, 16). Pure. Must never show a stack, a secret or an internal message.
 */

import { ERROR_TABLE, SluiceError } from "../../shared/errors.ts";
import { LEVEL_READ_ONLY, type StatusLevel } from "../../shared/shape-table.ts";
import type { FieldErrors } from "./parameters.ts";

export interface Failure {
	readonly status: number;
	readonly body: unknown;
	readonly retryAfterSeconds: number | null;
	/** An anticipated 503: `electric-internal-known-error`. */
	readonly known: boolean;
	/** Nobody expected this: plain headers, logged as an error. */
	readonly unexpected: boolean;
	/** For the log line: why the request failed, in a fixed word. */
	readonly reason: string;
}

const EXPECTED = { retryAfterSeconds: null, known: false, unexpected: false } as const;

export function invalidRequest(errors: FieldErrors): Failure {
	return { ...EXPECTED, status: 400, body: { message: "Invalid request", errors }, reason: "invalid-request" };
}

export function badRequest(body: Readonly<Record<string, string>>, status = 400): Failure {
	return { ...EXPECTED, status, body, reason: "bad-request" };
}

export function outOfBounds(): Failure {
	return { ...invalidRequest({ offset: ["out of bounds for this shape"] }), reason: "out-of-bounds" };
}

export function admissionRefused(kind: "initial" | "existing", limit: number, retryAfterSeconds: number): Failure {
	const title = kind === "initial" ? "Initial" : "Existing";
	return {
		...EXPECTED,
		status: 503,
		retryAfterSeconds,
		known: true,
		body: {
			code: "concurrent_request_limit_exceeded",
			message: `Concurrent ${title.toLowerCase()} request limit exceeded (limit: ${limit}), please retry`,
		},
		reason: "admission",
	};
}

/** The bodies of other requests fill the thread's budget. */
export function bodiesExceeded(): Failure {
	return unavailable("Too many request bodies are being received, please retry", 5, "body-budget", true);
}

/** The client is ahead of a log that may yet catch up: after a crash PostgreSQL sends what was not durable again. */
export function logBehind(): Failure {
	return unavailable("The log has not yet reached this offset, please retry", 5, "log-behind", true);
}

/** The service did not become ready within the readiness wait. */
export function notReady(level: StatusLevel): Failure {
	const message =
		level === LEVEL_READ_ONLY
			? "Timeout waiting for Postgres lock acquisition"
			: "Timeout waiting for replication client to be ready. Check that you don't have pending transactions in the " +
				"database. Electric has to wait for all pending transactions to commit or rollback before it can create " +
				"the replication slot.";
	return { ...EXPECTED, status: 503, retryAfterSeconds: 5, body: { message }, reason: "not-ready" };
}

export function stopping(): Failure {
	const body = { message: "The server is stopping, please retry" };
	return { ...EXPECTED, status: 503, retryAfterSeconds: 1, body, reason: "stopping" };
}

/** A snapshot or a log that did not become readable in time. */
export function notPrepared(): Failure {
	return unavailable("The shape is still being prepared, please retry", 10, "not-prepared", true);
}

/** The registrar did not answer in time. */
export function slowStart(): Failure {
	const message = "Snapshot query took too long to start reading from the database";
	return unavailable(message, 10, "resolve-timeout", true);
}

/** Subset responses that their readers have not taken fill the thread's budget. */
export function subsetsExceeded(): Failure {
	return unavailable("Too many subset responses wait for their readers, please retry", 5, "subset-budget", true);
}

/** The registrar did not answer in time. */
export function slowSubset(): Failure {
	return unavailable("The subset query waited too long for its turn, please retry", 10, "subset-timeout", true);
}

function tooLarge(bytesMax: unknown): Failure {
	const message = `the rows are more than ${String(bytesMax)} bytes: ask for fewer with a smaller limit`;
	return { ...invalidRequest({ subset: { limit: [message] } }), reason: "subset-too-large" };
}

/** @param renameFields applied to messages about the definition */
export function describeError(
	error: unknown,
	level: StatusLevel,
	renameFields: (errors: FieldErrors) => FieldErrors = (errors) => errors,
): Failure {
	if (!(error instanceof SluiceError)) {
		return unexpected();
	}
	switch (error.code) {
		case "SLUICE_REQUEST_INVALID":
			return invalidRequest(renameFields(fieldErrors(error.context["errors"])));
		case "SLUICE_DATABASE_UNAVAILABLE":
			return unavailable(ERROR_TABLE.SLUICE_DATABASE_UNAVAILABLE.message, 1, error.code, false);
		case "SLUICE_SNAPSHOT_FAILED":
			return unavailable(serverMessage(error, "Unable to create initial snapshot"), 10, error.code, true);
		case "SLUICE_SUBSET_TOO_LARGE":
			return tooLarge(error.context["bytesMax"]);
		case "SLUICE_SUBSETS_BUSY":
			return unavailable("Too many subset queries wait for their turn, please retry", 5, error.code, true);
		case "SLUICE_TABLE_NOT_READY":
			return unavailable(serverMessage(error, "The table cannot be followed"), 10, error.code, true);
		case "SLUICE_SHAPES_EXHAUSTED":
			return unavailable("Failed to create shape: no more shapes can be held", 10, error.code, true);
		case "SLUICE_NOT_ACTIVE":
			return notReady(level);
		case "SLUICE_THREAD_GONE":
		case "SLUICE_LANE_NOT_READY":
		case "SLUICE_LANE_DIED":
		case "SLUICE_SHAPE_GONE":
			return unavailable("Failed to create shape, please retry", 1, error.code, false);
		case "SLUICE_DISK_FULL":
			return unavailable("The disk of the server is full, please retry", 10, error.code, false);
		case "SLUICE_LOG_CORRUPT":
		case "SLUICE_DISK_FAILED":
			return {
				...EXPECTED,
				status: 500,
				body: { message: "Unable to retrieve shape log: the files of the shape cannot be read" },
				unexpected: true,
				reason: error.code,
			};
		default:
			return unexpected();
	}
}

function unexpected(): Failure {
	const body = { error: "Internal server error" };
	return { ...EXPECTED, status: 500, body, unexpected: true, reason: "internal" };
}

function unavailable(message: string, retryAfterSeconds: number, reason: string, known: boolean): Failure {
	return { status: 503, retryAfterSeconds, body: { message }, known, unexpected: false, reason };
}

function serverMessage(error: SluiceError, fallback: string): string {
	const message = error.context["serverMessage"];
	return typeof message === "string" && message !== "" ? message : fallback;
}

/** Crossed a thread: shaped like FieldErrors by contract, not by type. */
function fieldErrors(value: unknown): FieldErrors {
	return typeof value === "object" && value !== null ? (value as FieldErrors) : {};
}
