/**
 * The error table: every error that an operator or a client can meet, with a stable code, what Sluice does
 * about it, and what to run. Owns the codes and the envelope in which an error crosses threads (the
 * platform loses class and code there). Must never carry row values, parameters or secrets.
 * Called by every room.
 */

/** What the code that meets the error should do. */
export type RetryClass = "retry" | "operator" | "fatal" | "client";

interface ErrorEntry {
	/** Static prose, lower case: what happened. Facts go in the context, never in the text. */
	readonly message: string;
	readonly retry: RetryClass;
	/** What an operator should run or change. */
	readonly remedy: string;
}

export const ERROR_TABLE = {
	// --- configuration and host
	SLUICE_CONFIG_INVALID: {
		message: "the configuration is not valid",
		retry: "fatal",
		remedy: "correct the environment variables named in `problems` and start again",
	},
	SLUICE_INSECURE_REFUSED: {
		message: "refusing to listen beyond loopback without a secret",
		retry: "fatal",
		remedy: "set SLUICE_SECRET, or SLUICE_INSECURE=true if something in front checks every request",
	},
	SLUICE_DATA_DIR_LOCKED: {
		message: "another process uses the data directory and the embedded PostgreSQL",
		retry: "fatal",
		remedy:
			"stop the other one, or set DATABASE_URL: daemons that follow a PostgreSQL of its own may share a data directory",
	},
	SLUICE_DATA_DIR_UNUSABLE: {
		message: "the data directory cannot be created or written",
		retry: "fatal",
		remedy: "check the path in SLUICE_DATA_DIR, its owner and its mode",
	},
	SLUICE_CATALOGUE_UNREADABLE: {
		message: "the shape catalogue cannot be read",
		retry: "fatal",
		remedy: "restore SLUICE_DATA_DIR from a copy, or remove it: shapes are rebuilt from PostgreSQL",
	},
	SLUICE_PORT_IN_USE: {
		message: "the port is already in use",
		retry: "fatal",
		remedy: "stop the other process or choose another SLUICE_PORT / SLUICE_ADMIN_PORT",
	},
	SLUICE_LOCAL_POSTGRES_FAILED: {
		message: "the embedded PostgreSQL did not start",
		retry: "fatal",
		remedy: "read the PostgreSQL log named in `logFile`, or set DATABASE_URL to use your own server",
	},
	SLUICE_LOCAL_POSTGRES_STOPPED: {
		message: "the embedded PostgreSQL is not running",
		retry: "operator",
		remedy: "run `npm start` in this folder first, or set DATABASE_URL",
	},
	// --- the link
	SLUICE_LINK_CLOSED: {
		message: "the replication connection was closed",
		retry: "retry",
		remedy: "nothing: Sluice reconnects. If it repeats, read the server log for the walsender's pid",
	},
	SLUICE_LINK_UNREACHABLE: {
		message: "PostgreSQL cannot be reached",
		retry: "retry",
		remedy: "check DATABASE_URL, the network and that the server is running; Sluice keeps trying",
	},
	SLUICE_LINK_UNAVAILABLE: {
		message: "PostgreSQL cannot serve the replication connection at the moment",
		retry: "retry",
		remedy: "see `problem`, and `statement` if it does not pass by itself; Sluice keeps trying",
	},
	SLUICE_LINK_DETACHED: {
		message: "the replication connection was closed for a while, and the slot kept",
		retry: "retry",
		remedy:
			"nothing: Sluice attaches again when there is room (see `reason`, and the lanes in /v1/status for what is slow), or, after `lock-lost`, when it has the stream's lock again",
	},
	SLUICE_LINK_SILENT: {
		message: "the server has not answered a keepalive in time",
		retry: "retry",
		remedy: "nothing: Sluice reconnects. Check the network between Sluice and PostgreSQL if it repeats",
	},
	SLUICE_LINK_DEAF: {
		message: "what is written to the database does not come out of the replication stream",
		retry: "retry",
		remedy: "nothing: Sluice reconnects. If it repeats, look at the walsender in pg_stat_replication",
	},
	SLUICE_LINK_REFUSED: {
		message: "PostgreSQL refused the connection or a command",
		retry: "operator",
		remedy: "see `problem`, and `statement` for what to run; Sluice tries again every 10 s and serves reads meanwhile",
	},
	SLUICE_LINK_MISCONFIGURED: {
		message: "PostgreSQL is not set up for logical replication",
		retry: "fatal",
		remedy:
			"see `statement`: run it as a superuser, restart PostgreSQL if it says so. At its start Sluice ends: start it again; later it waits",
	},
	SLUICE_SLOT_IN_USE: {
		message: "the replication slot is active for another process",
		retry: "retry",
		remedy:
			"stop the other consumer of the slot (see `holder`, and `statement` to end its session); Sluice keeps trying",
	},
	SLUICE_SLOT_LOST: {
		message: "the replication slot no longer holds the changes Sluice needs",
		retry: "retry",
		remedy: "nothing: Sluice makes a new slot and every client starts anew. Raise max_slot_wal_keep_size if it repeats",
	},
	SLUICE_FRAME_MALFORMED: {
		message: "the replication stream holds bytes that are no valid message",
		retry: "retry",
		remedy: "nothing once: Sluice reconnects. Twice at one position: report it with `hexPrefix`",
	},
	SLUICE_FRAME_TOO_LARGE: {
		message: "a message of the replication stream declares a length beyond the limit",
		retry: "fatal",
		remedy: "a value this large cannot be followed: take the table out of the publication or shrink the value",
	},
	SLUICE_LSN_MALFORMED: {
		message: "the text is not a WAL position",
		retry: "retry",
		remedy: "report it: the server sent something unexpected",
	},
	// --- lanes and logs
	SLUICE_LANE_NOT_READY: {
		message: "the lane cannot take work yet",
		retry: "retry",
		remedy: "nothing: the batch is sent again when the system is ready",
	},
	SLUICE_LANE_DIED: {
		message: "a lane's thread ended unexpectedly",
		retry: "retry",
		remedy: "nothing: the lane is restarted and its window replayed. See `cause`",
	},
	SLUICE_LANE_GAVE_UP: {
		message: "a batch could not be processed within its retry budget",
		retry: "fatal",
		remedy: "see `cause`; nothing is lost: PostgreSQL keeps the changes until Sluice runs again",
	},
	SLUICE_DISK_FULL: {
		message: "the disk under the data directory is full",
		retry: "retry",
		remedy: "free space under SLUICE_DATA_DIR; Sluice has paused and goes on by itself",
	},
	SLUICE_DISK_FAILED: {
		message: "the disk under the data directory failed an operation",
		retry: "retry",
		remedy: "check the disk and the limit of open files; Sluice has paused and tries again",
	},
	SLUICE_LOG_CORRUPT: {
		message: "a shape's log on disk does not match its checksums",
		retry: "client",
		remedy: "nothing: the shape is dropped and rebuilt from PostgreSQL. Check the disk",
	},
	SLUICE_TUPLE_MALFORMED: {
		message: "a row change cannot be decoded",
		retry: "fatal",
		remedy: "report it with the PostgreSQL version; nothing is lost: PostgreSQL keeps the changes",
	},
	// --- shapes and requests
	SLUICE_REQUEST_INVALID: {
		message: "Invalid request",
		retry: "client",
		remedy: "correct the request as `errors` says",
	},
	SLUICE_SHAPE_UNKNOWN: {
		message: "there is no such shape",
		retry: "client",
		remedy: "request the shape again from offset -1",
	},
	SLUICE_SHAPE_GONE: {
		message: "the shape was removed",
		retry: "client",
		remedy: "request the shape again from offset -1",
	},
	SLUICE_SHAPES_EXHAUSTED: {
		message: "no more shapes can be held",
		retry: "client",
		remedy: "delete shapes that nobody reads, or ask for fewer distinct shapes",
	},
	SLUICE_SNAPSHOT_FAILED: {
		message: "the initial snapshot could not be taken",
		retry: "client",
		remedy: "see `serverMessage`; the request can be repeated",
	},
	SLUICE_SUBSET_TOO_LARGE: {
		message: "the rows of a subset are too many bytes for one response",
		retry: "client",
		remedy: "ask for fewer rows: a smaller `limit`, and the rest with `offset`",
	},
	SLUICE_SUBSETS_BUSY: {
		message: "too many subset queries wait for their turn",
		retry: "client",
		remedy: "nothing: the request can be repeated. An index for the subsets' conditions makes each shorter",
	},
	SLUICE_SUBSET_ABANDONED: {
		message: "nobody waits for the subset any more",
		retry: "client",
		remedy: "nothing: the client went away, and its query was ended in PostgreSQL",
	},
	SLUICE_TABLE_CHANGED: {
		message: "the table was altered while the shape was made",
		retry: "retry",
		remedy: "nothing: the shape is made again from the table as it is now",
	},
	SLUICE_TABLE_NOT_READY: {
		message: "the table cannot be followed",
		retry: "operator",
		remedy: "see `statement`: run it as the owner of the table",
	},
	SLUICE_DATABASE_UNAVAILABLE: {
		message: "Cannot connect to the database to verify the shape. Please try again later.",
		retry: "client",
		remedy: "check that PostgreSQL is reachable; Sluice keeps trying",
	},
	SLUICE_NOT_ACTIVE: {
		message: "Sluice is not ready yet",
		retry: "client",
		remedy: "wait: see GET /v1/health and /v1/status",
	},
	SLUICE_THREAD_GONE: {
		message: "the thread that should answer has ended",
		retry: "retry",
		remedy: "nothing: it is started again. See the log for its last error",
	},
	SLUICE_INTERNAL: {
		message: "an internal error",
		retry: "fatal",
		remedy: "report it with the log lines before it",
	},
} as const satisfies Record<string, ErrorEntry>;

export type ErrorCode = keyof typeof ERROR_TABLE;

/** Facts beside an error: numbers, names, positions. Structured-cloneable. Never secrets or row values. */
export type ErrorContext = Readonly<Record<string, unknown>>;

/** An error about the outside world, with a stable code. */
export class SluiceError extends Error {
	override readonly name = "SluiceError";
	readonly code: ErrorCode;
	readonly context: ErrorContext;

	constructor(code: ErrorCode, context: ErrorContext & { readonly cause?: unknown } = {}) {
		const { cause, ...facts } = context;
		super(ERROR_TABLE[code].message, cause === undefined ? undefined : { cause });
		this.code = code;
		this.context = facts;
	}

	get retry(): RetryClass {
		return ERROR_TABLE[this.code].retry;
	}

	get remedy(): string {
		return ERROR_TABLE[this.code].remedy;
	}
}

/** An error as it crosses a thread: plain data. */
export interface WireError {
	readonly code: ErrorCode | null;
	readonly name: string;
	readonly message: string;
	readonly stack: string | null;
	readonly context: ErrorContext;
	readonly cause: WireError | null;
}

const CAUSE_DEPTH_MAX = 8;

/** Packs any thrown value for another thread; keeps code, context and causes. */
export function toWire(thrown: unknown, depth = 0): WireError {
	if (!(thrown instanceof Error)) {
		return { code: null, name: "NonError", message: String(thrown), stack: null, context: {}, cause: null };
	}
	const code = thrown instanceof SluiceError ? thrown.code : null;
	const systemCode =
		"code" in thrown && typeof thrown.code === "string" && code === null ? { systemCode: thrown.code } : {};
	return {
		code,
		name: thrown.name,
		message: thrown.message,
		stack: thrown.stack ?? null,
		context: thrown instanceof SluiceError ? thrown.context : systemCode,
		cause: thrown.cause === undefined || depth >= CAUSE_DEPTH_MAX ? null : toWire(thrown.cause, depth + 1),
	};
}

/** Unpacks what {@link toWire} packed: a {@link SluiceError} when it had a code, a plain Error otherwise. */
export function fromWire(wire: WireError): Error {
	const cause = wire.cause === null ? undefined : fromWire(wire.cause);
	if (wire.code !== null) {
		const error = new SluiceError(wire.code, cause === undefined ? wire.context : { ...wire.context, cause });
		if (wire.stack !== null) {
			error.stack = wire.stack;
		}
		return error;
	}
	const error = new Error(wire.message, cause === undefined ? undefined : { cause });
	error.name = wire.name;
	if (wire.stack !== null) {
		error.stack = wire.stack;
	}
	return Object.assign(error, wire.context);
}
