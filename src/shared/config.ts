/**
 * The configuration: one declarative table from which parsing, checking and the README's table derive. Owns
 * names, defaults and their meaning; must never be read from the environment anywhere else. Called by the
 * command line; the frozen result is handed to every thread.
 */

import { resolve } from "node:path";
import { z } from "zod";
import { SluiceError } from "./errors.ts";
import { HTTP_THREADS_MAX, LANES_MAX, SEGMENT_BYTES } from "./limits.ts";

interface Option {
	readonly variable: string;
	readonly description: string;
	/** As the README shows it. */
	readonly defaultText: string;
	readonly schema: z.ZodType;
}

const text = z.string().trim().min(1);
const port = z.coerce.number().int().min(0).max(65_535);
const flag = z
	.enum(["true", "false", "1", "0", "yes", "no"])
	.transform((value) => value === "true" || value === "1" || value === "yes");

function count(min: number, max: number) {
	return z.coerce.number().int().min(min).max(max);
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
	windowBytes: {
		variable: "SLUICE_WINDOW_BYTES",
		description:
			"Memory for changes that were received and not yet written by every lane. Full: the socket pauses, keepalives go on. Rounded down to whole segments of 4 MiB.",
		defaultText: "33554432",
		schema: count(2 * SEGMENT_BYTES, 4 * 1024 * 1024 * 1024).default(8 * SEGMENT_BYTES),
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
	reconcileIntervalMs: {
		variable: "SLUICE_RECONCILE_INTERVAL_MS",
		description:
			"How often all shapes are compared with the database's catalogue, for what the stream does not tell: a table renamed or dropped without a change after it, taken out of the publication. Partitioned tables six times as often.",
		defaultText: "60000",
		schema: count(600, 24 * 3_600_000).default(60_000),
	},
	logLevel: {
		variable: "SLUICE_LOG_LEVEL",
		description: "trace, debug, info, warn, error or silent.",
		defaultText: "info",
		schema: z.enum(["trace", "debug", "info", "warn", "error", "fatal", "silent"]).default("info"),
	},
} as const satisfies Record<string, Option>;

type OptionKey = keyof typeof OPTIONS;

/** The checked configuration: frozen, structured-cloneable. */
export type Config = { readonly [K in OptionKey]: z.output<(typeof OPTIONS)[K]["schema"]> };

const LOOPBACK = new Set(["127.0.0.1", "::1", "localhost"]);

/**
 * Reads the configuration from an environment. An empty variable counts as absent. Reports all problems at
 * once, by variable name, never the value of a secret.
 * @throws SluiceError `SLUICE_CONFIG_INVALID`, `SLUICE_INSECURE_REFUSED`
 */
export function parseConfig(environment: Readonly<Record<string, string | undefined>>): Config {
	const problems: string[] = [];
	const values: Record<string, unknown> = {};
	for (const [key, option] of Object.entries(OPTIONS)) {
		const raw = environment[option.variable];
		const result = option.schema.safeParse(raw === undefined || raw.trim() === "" ? undefined : raw);
		if (result.success) {
			values[key] = result.data;
		} else {
			problems.push(`${option.variable}: ${result.error.issues.map((issue) => issue.message).join("; ")}`);
		}
	}
	if (values["databaseUrl"] !== undefined && !/^postgres(ql)?:\/\//.test(String(values["databaseUrl"]))) {
		problems.push("DATABASE_URL: must begin with postgresql:// or postgres://");
	}
	if (values["port"] !== 0 && values["port"] === values["adminPort"]) {
		problems.push("SLUICE_ADMIN_PORT: must differ from SLUICE_PORT");
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

export function publicationName(config: Config): string {
	return `sluice_publication_${config.streamId}`;
}
