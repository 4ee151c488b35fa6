/**
 * The reference server's environment variables, as data: what each one is here. Owns the names, the mapping and the
 * conversion of its spellings (`10s`, `5MiB`); must never read an environment. Called by environment.ts; the README's
 * table "Coming from Electric" derives from it. Source: shape-http-api.md 21.
 */

import { join } from "node:path";

/** What a value says in our variables, or why it cannot. A message never repeats the value. */
export type Translation =
	| { readonly ok: true; readonly variables: Readonly<Record<string, string>> }
	| { readonly ok: false; readonly problem: string };

/** A variable with a counterpart here. */
export interface ElectricAlias {
	readonly name: string;
	readonly variables: readonly string[];
	/** For the README: what is different, or nothing. */
	readonly note: string;
	readonly translate: (value: string) => Translation;
}

/** A variable that is accepted and changes nothing. */
export interface ElectricIdle {
	readonly name: string;
	/** For the README and the log line. */
	readonly why: string;
	/** Who sets it relies on it: that it has no effect is a warning. */
	readonly isReliedOn?: true;
}

const DURATION_UNITS_MS: Readonly<Record<string, number>> = {
	"": 1,
	ms: 1,
	msec: 1,
	s: 1_000,
	sec: 1_000,
	m: 60_000,
	min: 60_000,
};
const SIZE_UNITS_BYTES: Readonly<Record<string, number>> = {
	"": 1,
	b: 1,
	kb: 1_000,
	kib: 1_024,
	mb: 1_000 ** 2,
	mib: 1_024 ** 2,
	gb: 1_000 ** 3,
	gib: 1_024 ** 3,
};

/** Milliseconds of `20000`, `1.5s`, `2 min`; null for anything else. */
export function parseDuration(text: string): number | null {
	return parseQuantity(text, DURATION_UNITS_MS);
}

/** Bytes of `10485760`, `10MiB`, `1.5 GB`; null for anything else. */
export function parseSize(text: string): number | null {
	return parseQuantity(text, SIZE_UNITS_BYTES);
}

function parseQuantity(text: string, units: Readonly<Record<string, number>>): number | null {
	const match = /^(\d{1,15}(?:\.\d{1,9})?)\s*([a-z]*)$/i.exec(text.trim());
	const unit = (match?.[2] ?? "").toLowerCase();
	const factor = Object.hasOwn(units, unit) ? units[unit] : undefined;
	return match === null || factor === undefined ? null : Math.round(Number(match[1]) * factor);
}

function told(variable: string, value: string): Translation {
	return { ok: true, variables: { [variable]: value } };
}

/** The same value under our name. */
function same(name: string, variable: string, note = ""): ElectricAlias {
	return { name, variables: [variable], note, translate: (value) => told(variable, value) };
}

function duration(name: string, variable: string, note = ""): ElectricAlias {
	return {
		name,
		variables: [variable],
		note,
		translate: (value) => {
			const ms = parseDuration(value);
			return ms === null
				? { ok: false, problem: "must be a number of milliseconds, or one with ms, s or min" }
				: told(variable, String(ms));
		},
	};
}

function size(name: string, variable: string): ElectricAlias {
	return {
		name,
		variables: [variable],
		note: "",
		translate: (value) => {
			const bytes = parseSize(value);
			return bytes === null
				? { ok: false, problem: "must be a number of bytes, or one with KB, KiB, MB, MiB, GB or GiB" }
				: told(variable, String(bytes));
		},
	};
}

const LOG_LEVELS: Readonly<Record<string, string>> = {
	error: "error",
	warning: "warn",
	warn: "warn",
	info: "info",
	debug: "debug",
};

function logLevel(value: string): Translation {
	const level = Object.hasOwn(LOG_LEVELS, value) ? LOG_LEVELS[value] : undefined;
	return level === undefined
		? { ok: false, problem: "must be error, warning, info or debug" }
		: told("SLUICE_LOG_LEVEL", level);
}

/** `{"initial":300,"existing":10000}`, either key may be missing. */
function concurrentRequests(value: string): Translation {
	const problem = 'must be a JSON object such as {"initial":300,"existing":10000}';
	let parsed: unknown;
	try {
		parsed = JSON.parse(value);
	} catch {
		return { ok: false, problem };
	}
	if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed)) {
		return { ok: false, problem };
	}
	const variables: Record<string, string> = {};
	for (const [key, limit] of Object.entries(parsed)) {
		if ((key !== "initial" && key !== "existing") || !Number.isInteger(limit) || Number(limit) < 1) {
			return { ok: false, problem };
		}
		variables[key === "initial" ? "SLUICE_MAX_INITIAL_REQUESTS" : "SLUICE_MAX_EXISTING_REQUESTS"] = String(limit);
	}
	return { ok: true, variables };
}

function ipv6(value: string): Translation {
	if (value === "true" || value === "1") {
		return told("SLUICE_HOST", "::");
	}
	return value === "false" || value === "0"
		? { ok: true, variables: {} }
		: { ok: false, problem: "must be true or false" };
}

/** Variables with a counterpart here. Of two that name one, the first in this list counts. */
export const ELECTRIC_ALIASES: readonly ElectricAlias[] = [
	same("ELECTRIC_SECRET", "SLUICE_SECRET"),
	same("ELECTRIC_INSECURE", "SLUICE_INSECURE", "A secret is checked all the same when both are given."),
	same("ELECTRIC_PORT", "SLUICE_PORT", "Sluice listens on loopback unless `SLUICE_HOST` says otherwise."),
	{ name: "ELECTRIC_LISTEN_ON_IPV6", variables: ["SLUICE_HOST"], note: "`true` listens on `::`.", translate: ipv6 },
	{
		name: "ELECTRIC_STORAGE_DIR",
		variables: ["SLUICE_DATA_DIR"],
		note: "The directory `sluice` in it: what Electric keeps there is left alone.",
		translate: (value) => told("SLUICE_DATA_DIR", join(value, "sluice")),
	},
	same(
		"ELECTRIC_REPLICATION_STREAM_ID",
		"SLUICE_STREAM_ID",
		"Slot and publication are called `sluice_…`: both servers can follow one database.",
	),
	same("ELECTRIC_POOLED_DATABASE_URL", "SLUICE_POOLED_DATABASE_URL"),
	same("ELECTRIC_QUERY_DATABASE_URL", "SLUICE_POOLED_DATABASE_URL"),
	same("ELECTRIC_MANUAL_TABLE_PUBLISHING", "SLUICE_MANUAL_TABLE_PUBLISHING"),
	duration("ELECTRIC_LONG_POLL_TIMEOUT", "SLUICE_LONG_POLL_TIMEOUT_MS"),
	same("ELECTRIC_CACHE_MAX_AGE", "SLUICE_CACHE_MAX_AGE"),
	same("ELECTRIC_CACHE_STALE_AGE", "SLUICE_CACHE_STALE_AGE"),
	size("ELECTRIC_SHAPE_CHUNK_BYTES_THRESHOLD", "SLUICE_CHUNK_BYTES"),
	{
		name: "ELECTRIC_MAX_CONCURRENT_REQUESTS",
		variables: ["SLUICE_MAX_INITIAL_REQUESTS", "SLUICE_MAX_EXISTING_REQUESTS"],
		note: "",
		translate: concurrentRequests,
	},
	same("ELECTRIC_MAX_SHAPES", "SLUICE_MAX_SHAPES"),
	same("ELECTRIC_EXPERIMENTAL_MAX_SHAPES", "SLUICE_MAX_SHAPES"),
	same("ELECTRIC_ENABLE_INTEGRATION_TESTING", "SLUICE_ENABLE_SHAPE_DELETION"),
	{ name: "ELECTRIC_LOG_LEVEL", variables: ["SLUICE_LOG_LEVEL"], note: "", translate: logLevel },
	same(
		"ELECTRIC_PROMETHEUS_PORT",
		"SLUICE_ADMIN_PORT",
		"`/metrics` of the admin port, which listens on loopback unless `SLUICE_ADMIN_HOST` says otherwise. The series have other names.",
	),
	duration("ELECTRIC_TWEAKS_SCHEMA_RECONCILER_PERIOD", "SLUICE_RECONCILE_INTERVAL_MS"),
];

const ELSEWHERE = "put it into DATABASE_URL instead";
const TELEMETRY = "no telemetry is sent; GET /metrics has the numbers";
const RUNTIME = "tunes a runtime that is not used here";

function idle(why: string, ...names: readonly string[]): readonly ElectricIdle[] {
	return names.map((name) => ({ name, why }));
}

/** Variables that are accepted and change nothing. */
export const ELECTRIC_IDLE: readonly ElectricIdle[] = [
	...idle(
		"connections to PostgreSQL are opened as they are needed, eight at most for first data",
		"ELECTRIC_DB_POOL_SIZE",
	),
	{
		name: "ELECTRIC_DATABASE_CA_CERTIFICATE_FILE",
		why: `${ELSEWHERE}: sslmode=verify-full&sslrootcert=FILE`,
		isReliedOn: true,
	},
	...idle("every address of the host is tried, in the order of the system's resolver", "ELECTRIC_DATABASE_USE_IPV6"),
	...idle(
		"the link has a keepalive of its own",
		"ELECTRIC_DATABASE_TCP_KEEPALIVE_IDLE",
		"ELECTRIC_DATABASE_TCP_KEEPALIVE_INTERVAL",
		"ELECTRIC_DATABASE_TCP_KEEPALIVE_COUNT",
		"ELECTRIC_DATABASE_TCP_USER_TIMEOUT",
	),
	...idle("logs are always files", "ELECTRIC_STORAGE", "ELECTRIC_PERSISTENT_STATE", "ELECTRIC_CLEANUP_INTERVAL_MS"),
	...idle("nothing is buffered by transaction", "ELECTRIC_SUBQUERY_BUFFER_MAX_TRANSACTIONS"),
	...idle(
		"a transaction may have any size",
		"ELECTRIC_EXPERIMENTAL_MAX_TXN_SIZE",
		"ELECTRIC_EXPERIMENTAL_MAX_BATCH_SIZE",
	),
	...idle("the stream is never scaled down", "ELECTRIC_REPLICATION_IDLE_TIMEOUT"),
	...idle(
		"the slot stays: without it every client would start anew",
		"CLEANUP_REPLICATION_SLOTS_ON_SHUTDOWN",
		"ELECTRIC_TEMPORARY_REPLICATION_SLOT_USE_RANDOM_NAME",
	),
	...idle(
		"fixed limits of the HTTP server",
		"ELECTRIC_TCP_SEND_TIMEOUT",
		"ELECTRIC_TCP_READ_TIMEOUT",
		"ELECTRIC_TWEAKS_CONN_MAX_REQUESTS",
	),
	...idle(
		"tables are added one by one as they are asked for",
		"ELECTRIC_TWEAKS_PUBLICATION_REFRESH_PERIOD",
		"ELECTRIC_PUBLICATION_ALTER_DEBOUNCE_TIME",
	),
	...idle(
		RUNTIME,
		"ELECTRIC_TWEAKS_HTTP_API_NUM_ACCEPTORS",
		"ELECTRIC_TWEAKS_HANDLER_FULLSWEEP_AFTER",
		"ELECTRIC_TWEAKS_PROCESS_REGISTRY_PARTITIONS",
		"ELECTRIC_SHAPE_HIBERNATE_AFTER",
		"ELECTRIC_SHAPE_SUSPEND_CONSUMER",
		"ELECTRIC_SHAPE_SUSPEND_AFTER",
		"ELECTRIC_FLUSH_STALL_GRACE_PERIOD",
		"ELECTRIC_CONSUMER_PARTITIONS",
		"ELECTRIC_CONSUMER_GC_HEAP_THRESHOLD",
		"ELECTRIC_PROCESS_SPAWN_OPTS",
		"ELECTRIC_PROFILE_WHERE_CLAUSES",
		"ELECTRIC_SHAPE_DB_STORAGE_DIR",
		"ELECTRIC_SHAPE_DB_EXCLUSIVE_MODE",
		"ELECTRIC_SHAPE_DB_SYNCHRONOUS",
		"ELECTRIC_SHAPE_DB_CACHE_SIZE",
		"ELECTRIC_FEATURE_FLAGS",
	),
	...idle(
		TELEMETRY,
		"ELECTRIC_INSTANCE_ID",
		"ELECTRIC_SERVICE_NAME",
		"ELECTRIC_DATABASE_ID",
		"ELECTRIC_OTLP_ENDPOINT",
		"ELECTRIC_OTEL_DEBUG",
		"ELECTRIC_OTEL_EXPORT_PERIOD",
		"ELECTRIC_OTEL_SAMPLING_RATIO",
		"ELECTRIC_METRICS_SAMPLING_RATIO",
		"ELECTRIC_DROP_EMPTY_RESPONSE_SPANS",
		"ELECTRIC_EXCLUDE_SPANS",
		"ELECTRIC_HNY_API_KEY",
		"ELECTRIC_HNY_DATASET",
		"ELECTRIC_STATSD_HOST",
		"ELECTRIC_SYSTEM_METRICS_POLL_INTERVAL",
		"ELECTRIC_STACK_TELEMETRY_INIT_DELAY",
		"ELECTRIC_TELEMETRY_TOP_PROCESS_LIMIT",
		"ELECTRIC_TELEMETRY_LONG_GC_THRESHOLD",
		"ELECTRIC_TELEMETRY_LONG_SCHEDULE_THRESHOLD",
		"ELECTRIC_TELEMETRY_LONG_MESSAGE_QUEUE_ENABLE_THRESHOLD",
		"ELECTRIC_TELEMETRY_LONG_MESSAGE_QUEUE_DISABLE_THRESHOLD",
		"ELECTRIC_LIVE_DASHBOARD_PORT",
		"ELECTRIC_LOG_COLORS",
		"ELECTRIC_LOG_OTP_REPORTS",
		"SENTRY_DSN",
	),
];

/** The README's table "Coming from Electric", in Markdown. A test fails when the README differs. */
export function electricTable(): string {
	const aliases = ELECTRIC_ALIASES.map(
		({ name, variables, note }) => `| \`${name}\` | ${variables.map((each) => `\`${each}\``).join(", ")} | ${note} |`,
	);
	const reasons = new Map<string, string[]>();
	for (const { name, why } of ELECTRIC_IDLE) {
		const names = reasons.get(why) ?? [];
		names.push(`\`${name}\``);
		reasons.set(why, names);
	}
	const idleRows = [...reasons].map(([why, names]) => `| ${names.join(", ")} | no effect | ${why} |`);
	return ["| Electric's variable | Here | |", "|---|---|---|", ...aliases, ...idleRows].join("\n");
}
