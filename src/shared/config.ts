/**
 * The configuration: one declarative table from which parsing, checking and the README's table derive. Owns
 * names, defaults and their meaning; must never be read from the environment anywhere else. Called by the
 * command line; the frozen result is handed to every thread.
 */

import { resolve } from "node:path";
import { z } from "zod";
import { readUrlFile, URL_FILE_VARIABLE, urlProblems } from "./database-url.ts";
import { type Environment, type EnvironmentNote, type ReadEnvironment, readEnvironment } from "./environment.ts";
import { SluiceError } from "./errors.ts";
import {
	HTTP_EXISTING_REQUESTS_MAX,
	HTTP_INITIAL_REQUESTS_MAX,
	HTTP_THREADS_MAX,
	LANES_MAX,
	SEGMENT_BYTES,
	SHAPES_MAX,
} from "./limits.ts";

interface Option {
	readonly variable: string;
	readonly description: string;
	/** As the README shows it. */
	readonly defaultText: string;
	readonly schema: z.ZodType;
}

const text = z.string().trim().min(1);
const port = count(0, 65_535);
const flag = z
	.enum(["true", "false", "1", "0", "yes", "no"], "must be true or false")
	.transform((value) => value === "true" || value === "1" || value === "yes");

function count(min: number, max: number) {
	const problem = `must be a whole number from ${min} to ${max}`;
	return z.coerce.number(problem).int(problem).min(min, problem).max(max, problem);
}

/** Every option. Keys are the names in {@link Config}. */
export const OPTIONS = {
	databaseUrl: {
		variable: "DATABASE_URL",
		description:
			"PostgreSQL to follow, as a direct (not pooled) URL of a role with REPLICATION. Without it `npm start` runs an embedded PostgreSQL with a sample table.",
		defaultText: "embedded PostgreSQL",
		schema: text.optional(),
	},
	databaseUrlFile: {
		variable: "SLUICE_DATABASE_URL_FILE",
		description:
			"A file that holds the URL, instead of DATABASE_URL. It is read anew for each connection that is made, so a rotated password needs no restart. Certificate files of either are read anew too.",
		defaultText: "none",
		schema: text.optional(),
	},
	pooledDatabaseUrl: {
		variable: "SLUICE_POOLED_DATABASE_URL",
		description:
			"A pooler in front of the same database (transaction mode is enough): initial data, subsets and catalogue queries go there. The stream, its lock and edits of the publication always use the direct URL.",
		defaultText: "none",
		schema: text.optional(),
	},
	manualTablePublishing: {
		variable: "SLUICE_MANUAL_TABLE_PUBLISHING",
		description:
			"You add tables to the publication and set REPLICA IDENTITY FULL yourself; Sluice alters no table, needs to own none, and answers 503 with the statement that is missing.",
		defaultText: "false",
		schema: flag.default(false),
	},
	host: {
		variable: "SLUICE_HOST",
		description:
			"Address that the shape API listens on. Anything but loopback needs a secret, or SLUICE_INSECURE=true.",
		defaultText: "127.0.0.1",
		schema: text.default("127.0.0.1"),
	},
	port: {
		variable: "SLUICE_PORT",
		description: "Port of the shape API. 0 takes a free one.",
		defaultText: "3000",
		schema: port.default(3000),
	},
	adminPort: {
		variable: "SLUICE_ADMIN_PORT",
		description:
			"Port of status, metrics, profiles and lane control; always on loopback unless SLUICE_ADMIN_HOST says otherwise. 0 takes a free one.",
		defaultText: "3001",
		schema: port.default(3001),
	},
	adminHost: {
		variable: "SLUICE_ADMIN_HOST",
		description: "Address of the admin port. It has no authentication of its own: keep it private.",
		defaultText: "127.0.0.1",
		schema: text.default("127.0.0.1"),
	},
	dataDir: {
		variable: "SLUICE_DATA_DIR",
		description: "Directory of logs and catalogue. Losing it costs a refetch by every client, no data.",
		defaultText: ".sluice/data",
		schema: text.default(".sluice/data").transform((path) => resolve(path)),
	},
	workers: {
		variable: "SLUICE_WORKERS",
		description:
			"Lanes: threads that decode, match and write shape logs. Each sees every change and owns a part of the shapes, so more help when matching and writing dominate.",
		defaultText: "1",
		schema: count(1, LANES_MAX).default(1),
	},
	httpThreads: {
		variable: "SLUICE_HTTP_THREADS",
		description: "Threads that serve the shape API on one port. More than one needs Linux (SO_REUSEPORT).",
		defaultText: "1",
		schema: count(1, HTTP_THREADS_MAX).default(1),
	},
	secret: {
		variable: "SLUICE_SECRET",
		description: "If set, every request for a shape must carry it as the query parameter `secret`.",
		defaultText: "none",
		schema: text.optional(),
	},
	insecure: {
		variable: "SLUICE_INSECURE",
		description: "Allows listening beyond loopback without a secret.",
		defaultText: "false",
		schema: flag.default(false),
	},
	streamId: {
		variable: "SLUICE_STREAM_ID",
		description:
			"Suffix of the slot (`sluice_slot_…`) and the publication (`sluice_publication_…`). One daemon a stream.",
		defaultText: "default",
		schema: z
			.string()
			.regex(/^[a-z0-9_]{1,40}$/, "must be 1 to 40 of a-z, 0-9 and _")
			.default("default"),
	},
	enableShapeDeletion: {
		variable: "SLUICE_ENABLE_SHAPE_DELETION",
		description: "Allows DELETE /v1/shape.",
		defaultText: "false",
		schema: flag.default(false),
	},
	chunkBytes: {
		variable: "SLUICE_CHUNK_BYTES",
		description: "Size at which a snapshot chunk or log segment is closed: the size of a large response.",
		defaultText: "10485760",
		schema: count(1, 1024 * 1024 * 1024).default(10_485_760),
	},
	longPollTimeoutMs: {
		variable: "SLUICE_LONG_POLL_TIMEOUT_MS",
		description: "How long a live request waits for news. Clients give up after 45 s.",
		defaultText: "20000",
		schema: count(0, 40_000).default(20_000),
	},
	cacheMaxAgeSeconds: {
		variable: "SLUICE_CACHE_MAX_AGE",
		description: "`max-age` in seconds of non-live responses after the first.",
		defaultText: "60",
		schema: count(0, 31_536_000).default(60),
	},
	cacheStaleAgeSeconds: {
		variable: "SLUICE_CACHE_STALE_AGE",
		description: "`stale-while-revalidate` in seconds of the same responses.",
		defaultText: "300",
		schema: count(0, 31_536_000).default(300),
	},
	maxInitialRequests: {
		variable: "SLUICE_MAX_INITIAL_REQUESTS",
		description: "Requests under way at a time that may make a shape; beyond it a 503 with `retry-after`.",
		defaultText: String(HTTP_INITIAL_REQUESTS_MAX),
		schema: count(1, 1_000_000).default(HTTP_INITIAL_REQUESTS_MAX),
	},
	maxExistingRequests: {
		variable: "SLUICE_MAX_EXISTING_REQUESTS",
		description: "Requests under way at a time that read a shape, parked ones included; beyond it a 503.",
		defaultText: String(HTTP_EXISTING_REQUESTS_MAX),
		schema: count(1, 1_000_000).default(HTTP_EXISTING_REQUESTS_MAX),
	},
	maxShapes: {
		variable: "SLUICE_MAX_SHAPES",
		description:
			"Shapes kept at most: beyond it those that were read least recently are dropped, but none that is being read. 0: as many as there is room for (65536).",
		defaultText: "0",
		schema: count(0, SHAPES_MAX).default(0),
	},
	shapeIdleSeconds: {
		variable: "SLUICE_SHAPE_IDLE_SECONDS",
		description: "A shape that nobody has read for this long is dropped. 0: never.",
		defaultText: "0",
		schema: count(0, 10 * 31_536_000).default(0),
	},
	windowBytes: {
		variable: "SLUICE_WINDOW_BYTES",
		description:
			"Memory for changes that were received and not yet written by every lane. Full: the socket pauses, keepalives go on. Rounded down to whole segments of 4 MiB.",
		defaultText: "33554432",
		schema: count(2 * SEGMENT_BYTES, 4 * 1024 * 1024 * 1024).default(8 * SEGMENT_BYTES),
	},
	slotFailover: {
		variable: "SLUICE_SLOT_FAILOVER",
		description:
			"From PostgreSQL 17 on the slot is made a failover slot: a standby with sync_replication_slots keeps a copy, and Sluice goes on there after a promotion, with the same handles. Without such a standby it changes nothing.",
		defaultText: "true",
		schema: flag.default(true),
	},
	pauseLimitMs: {
		variable: "SLUICE_PAUSE_LIMIT_MS",
		description:
			"How long the socket may stay paused before Sluice closes the link in order and attaches again when there is room. A paused link cannot be ended by the server. When the server wants to go away Sluice detaches at once.",
		defaultText: "300000",
		schema: count(1_000, 24 * 3_600_000).default(300_000),
	},
	lanePatienceMs: {
		variable: "SLUICE_LANE_PATIENCE_MS",
		description:
			"A lane that makes no progress with a batch for this long, and is not suspended, is ended and started again.",
		defaultText: "120000",
		schema: count(1_000, 24 * 3_600_000).default(120_000),
	},
	probeIntervalMs: {
		variable: "SLUICE_PROBE_INTERVAL_MS",
		description:
			"When nothing has come all the way from the database for this long, a logical message of about 100 bytes is written to it, to see that the way is open. 0: never.",
		defaultText: "30000",
		schema: count(0, 24 * 3_600_000).default(30_000),
	},
	reconcileIntervalMs: {
		variable: "SLUICE_RECONCILE_INTERVAL_MS",
		description:
			"How often all shapes are compared with the database's catalogue, for what the stream does not tell: a table renamed or dropped without a change after it, taken out of the publication, its values rewritten in place. Partitioned tables six times as often.",
		defaultText: "60000",
		schema: count(600, 24 * 3_600_000).default(60_000),
	},
	logLevel: {
		variable: "SLUICE_LOG_LEVEL",
		description: "trace, debug, info, warn, error or silent.",
		defaultText: "info",
		schema: z
			.enum(
				["trace", "debug", "info", "warn", "error", "fatal", "silent"],
				"must be trace, debug, info, warn, error, fatal or silent",
			)
			.default("info"),
	},
} as const satisfies Record<string, Option>;

type OptionKey = keyof typeof OPTIONS;

/** The checked configuration: frozen, structured-cloneable. */
export type Config = { readonly [K in OptionKey]: z.output<(typeof OPTIONS)[K]["schema"]> };

const LOOPBACK = new Set(["127.0.0.1", "::1", "localhost"]);

/** Values of these are never repeated. */
const CONFIDENTIAL = /_(SECRET|URL)$/;
const SHOWN_CHARACTERS_MAX = 40;

/** What an operator should know about the names in the environment; never a value. */
export function configurationNotes(environment: Environment): readonly EnvironmentNote[] {
	return readVariables(environment).notes;
}

function readVariables(environment: Environment): ReadEnvironment {
	return readEnvironment(
		environment,
		Object.values(OPTIONS).map((option) => option.variable),
	);
}

/**
 * Reads the configuration from an environment, the reference server's variables too (electric-variables.ts). An empty
 * variable counts as absent. Reports all problems at once, by variable name, never the value of a secret.
 * @throws SluiceError `SLUICE_CONFIG_INVALID`, `SLUICE_INSECURE_REFUSED`
 */
export function parseConfig(environment: Environment): Config {
	const read = readVariables(environment);
	const problems = [...read.problems];
	const values: Record<string, unknown> = {};
	const nameOf = (variable: string): string => read.origins.get(variable) ?? variable;
	for (const [key, option] of Object.entries(OPTIONS)) {
		const raw = read.values[option.variable];
		const result = option.schema.safeParse(raw);
		if (result.success) {
			values[key] = result.data;
		} else {
			const messages = result.error.issues.map((issue) => issue.message).join("; ");
			problems.push(`${nameOf(option.variable)}: ${messages}${shown(option.variable, raw)}`);
		}
	}
	problems.push(...readDatabaseUrls(values));
	if (values["port"] !== 0 && values["port"] === values["adminPort"]) {
		problems.push(`${nameOf("SLUICE_ADMIN_PORT")}: must differ from ${nameOf("SLUICE_PORT")}`);
	}
	if (problems.length > 0) {
		throw new SluiceError("SLUICE_CONFIG_INVALID", { problems });
	}
	const config = Object.freeze(values) as Config;
	if (config.secret === undefined && !config.insecure && !LOOPBACK.has(config.host)) {
		throw new SluiceError("SLUICE_INSECURE_REFUSED", { host: config.host });
	}
	return config;
}

function shown(variable: string, raw: string | undefined): string {
	return raw === undefined || CONFIDENTIAL.test(variable)
		? ""
		: `, not ${JSON.stringify(raw.slice(0, SHOWN_CHARACTERS_MAX))}`;
}

/** Fills `databaseUrl` from its file, and answers what is wrong with the URLs. */
function readDatabaseUrls(values: Record<string, unknown>): readonly string[] {
	const problems: string[] = [];
	let variable = OPTIONS.databaseUrl.variable as string;
	if (typeof values["databaseUrlFile"] === "string") {
		if (values["databaseUrl"] !== undefined) {
			return [`${URL_FILE_VARIABLE}: DATABASE_URL is set too, and only one can count`];
		}
		const read = readUrlFile(values["databaseUrlFile"]);
		if ("problem" in read) {
			return [read.problem];
		}
		values["databaseUrl"] = read.url;
		variable = URL_FILE_VARIABLE;
	}
	if (typeof values["databaseUrl"] === "string") {
		problems.push(...urlProblems(values["databaseUrl"], variable));
	}
	if (typeof values["pooledDatabaseUrl"] === "string") {
		problems.push(...urlProblems(values["pooledDatabaseUrl"], OPTIONS.pooledDatabaseUrl.variable));
	}
	return problems;
}

/** The README's table, in Markdown. A test fails when the README differs. */
export function configurationTable(): string {
	const rows = Object.values(OPTIONS).map(
		(option) => `| \`${option.variable}\` | ${option.defaultText} | ${option.description} |`,
	);
	return ["| Variable | Default | Meaning |", "|---|---|---|", ...rows].join("\n");
}

export function slotName(config: Config): string {
	return `sluice_slot_${config.streamId}`;
}

/** Of the logical messages that Sluice writes to see whether they come. */
export function probePrefix(config: Config): string {
	return `sluice:${config.streamId}`;
}

export function publicationName(config: Config): string {
	return `sluice_publication_${config.streamId}`;
}
