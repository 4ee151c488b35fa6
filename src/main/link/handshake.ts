/**
 * The ladder between a connection and a stream: one function and one expected reply a rung, every error naming
 * its rung. Makes publication and slot when they are missing and refuses what cannot work. Must never start
 * streaming, take the advisory lock, or touch tables of a publication (both are the registrar's). Called by the
 * stream. Facts: replication commands and catalogues of PostgreSQL 14 to 18.
 */

import { errorFromThrown } from "../../shared/connection-error.ts";
import { SluiceError } from "../../shared/errors.ts";
import { LINK_STEP_TIMEOUT_MS } from "../../shared/limits.ts";
import { parseLsn } from "../../shared/lsn.ts";
import type { LinkFacts, TimelineSwitch } from "../../shared/messages.ts";
import { quoteIdentifier, quoteLiteral } from "../../shared/sql-quoting.ts";
import type { CommandSession, Row } from "./connect.ts";

export interface HandshakeOptions {
	readonly slotName: string;
	readonly publicationName: string;
	/** Drops an existing slot: its stream has a gap (SLUICE_SLOT_LOST was seen while streaming). */
	readonly discardSlot: boolean;
	/** See link-contract.ts. */
	readonly formerWalsenderPid: number | null;
	/** See link-contract.ts. */
	readonly slotFailover: boolean;
	readonly stepTimeoutMs?: number;
	readonly onStep: (step: string) => void;
}

/** What the ladder found. */
export interface HandshakeFacts extends LinkFacts {
	readonly walsenderPid: number;
	/** `server_version_num`, for example 180004. */
	readonly serverVersion: number;
	/** Of this session; 0 = the server never times out. */
	readonly walSenderTimeoutMs: number;
}

/** The `messages` option and `client_connection_check_interval` exist from here. */
const SERVER_VERSION_MIN = 140_000;
/** A slot can be one that standbys copy from here. */
const SERVER_VERSION_FAILOVER = 170_000;
/** Generated columns can be published from here. */
const SERVER_VERSION_GENERATED = 180_000;

/** They shape every text value of the stream; snapshots use the same ones. */
const SESSION_SETTINGS: readonly (readonly [name: string, value: string])[] = [
	["statement_timeout", "0"],
	["lock_timeout", "0"],
	["idle_session_timeout", "0"],
	// PostgreSQL 18 reports a missing publication as a warning: it must reach us.
	["client_min_messages", "warning"],
	["bytea_output", "hex"],
	["DateStyle", "ISO, DMY"],
	["TimeZone", "UTC"],
	["extra_float_digits", "1"],
	["IntervalStyle", "iso_8601"],
	// Names of types such as regclass are printed in full, whatever the role's path, in both halves alike.
	["search_path", "pg_catalog"],
];

/** A backend that waits for a lock notices within this time that we are gone. */
const CLIENT_CHECK_INTERVAL = "5s";

/** One rung at a time. */
class Ladder {
	readonly session: CommandSession;
	readonly options: HandshakeOptions;
	#step = "";

	constructor(session: CommandSession, options: HandshakeOptions) {
		this.session = session;
		this.options = options;
	}

	get step(): string {
		return this.#step;
	}

	async rung<T>(step: string, climb: () => Promise<T>): Promise<T> {
		this.#step = step;
		this.options.onStep(step);
		return await climb();
	}

	/** @param statementForOperator what to run by hand when this fails for a missing privilege */
	async query(statement: string, statementForOperator?: string): Promise<readonly Row[]> {
		return await this.#run(statement, this.options.stepTimeoutMs ?? LINK_STEP_TIMEOUT_MS, statementForOperator);
	}

	/** For what may rightly wait on other transactions. */
	async queryWithoutLimit(statement: string): Promise<readonly Row[]> {
		return await this.#run(statement, null);
	}

	async #run(statement: string, timeoutMs: number | null, statementForOperator?: string): Promise<readonly Row[]> {
		try {
			return await this.session.query(statement, timeoutMs);
		} catch (error) {
			throw errorFromThrown(error, {
				phase: "setup",
				step: this.#step,
				names: { role: this.session.role, database: this.session.database, slot: this.options.slotName },
				...(statementForOperator === undefined ? {} : { statement: statementForOperator }),
			});
		}
	}

	misconfigured(problem: string, statement: string | null, facts: Record<string, unknown> = {}): SluiceError {
		return new SluiceError("SLUICE_LINK_MISCONFIGURED", {
			step: this.#step,
			problem,
			...(statement === null ? {} : { statement }),
			...facts,
		});
	}
}

/**
 * Climbs from a fresh connection to just below START_REPLICATION.
 * @throws SluiceError SLUICE_LINK_MISCONFIGURED, SLUICE_SLOT_IN_USE, SLUICE_LINK_CLOSED and what
 * shared/database-errors.ts derives from the server's error, all with `step`
 */
export async function climbLadder(session: CommandSession, options: HandshakeOptions): Promise<HandshakeFacts> {
	const ladder = new Ladder(session, options);
	const system = await ladder.rung("identify-system", () => identifySystem(ladder));
	const server = await ladder.rung("server-facts", () => readServerFacts(ladder));
	// The first timeline has no history.
	const timelineHistory =
		system.timeline === 1
			? []
			: await ladder.rung("timeline-history", () => readTimelineHistory(ladder, system.timeline));
	await ladder.rung("session-settings", () => applySessionSettings(ladder));
	await ladder.rung("wal-level", () => checkWalLevel(ladder));
	const published = await ladder.rung("publication", () => findPublication(ladder));
	const found = await ladder.rung("slot", () => findSlot(ladder));
	// A slot without its publication has a gap. Dropped before the publication is made: a crash between the two
	// must not leave a new publication beside the old slot.
	const keep = found !== null && published && !found.lost && !options.discardSlot ? found : null;
	if (found !== null && keep === null) {
		await ladder.rung("slot-drop", () => dropSlot(ladder));
	}
	if (!published) {
		await ladder.rung("publication-create", () => createPublication(ladder, server.serverVersion));
	}
	await ladder.rung("publication-check", () => checkPublication(ladder));
	const failover = options.slotFailover && server.serverVersion >= SERVER_VERSION_FAILOVER;
	if (keep !== null && failover && !keep.failover) {
		await ladder.rung("slot-failover", () => letStandbysCopy(ladder));
	}
	const slot =
		keep === null
			? { confirmedFlushLsn: await ladder.rung("slot-create", () => createSlot(ladder, failover)), slotCreated: true }
			: { confirmedFlushLsn: keep.confirmedFlushLsn, slotCreated: false };
	return { ...system, timelineHistory, ...server, slotName: options.slotName, ...slot };
}

/** IDENTIFY_SYSTEM → systemid, timeline, xlogpos. */
async function identifySystem(ladder: Ladder): Promise<{ systemIdentifier: string; timeline: number; walLsn: bigint }> {
	const row = oneRow(ladder, await ladder.query("IDENTIFY_SYSTEM"));
	return {
		systemIdentifier: text(ladder, row, "systemid"),
		timeline: integer(ladder, row, "timeline"),
		walLsn: parseLsn(text(ladder, row, "xlogpos")),
	};
}

/** TIMELINE_HISTORY → content. */
async function readTimelineHistory(ladder: Ladder, timeline: number): Promise<readonly TimelineSwitch[] | null> {
	try {
		const row = oneRow(ladder, await ladder.query(`TIMELINE_HISTORY ${timeline}`));
		return parseTimelineHistory(text(ladder, row, "content"));
	} catch (error) {
		// The file may be gone; without it nothing is proven, which the registrar judges.
		if (!(error instanceof SluiceError) || typeof error.context["sqlState"] !== "string") {
			throw error;
		}
		return null;
	}
}

/**
 * Lines of "timeline, switch point, reason", separated by blanks; comments begin with #. Null when a line is
 * something else. Source: PostgreSQL `readTimeLineHistory`.
 */
function parseTimelineHistory(content: string): readonly TimelineSwitch[] | null {
	const switches: TimelineSwitch[] = [];
	for (const line of content.split("\n").map((each) => each.trim())) {
		if (line === "" || line.startsWith("#")) {
			continue;
		}
		const [, timeline, switchLsn] = /^(\d+)\s+([0-9A-Fa-f]+\/[0-9A-Fa-f]+)(?:\s|$)/.exec(line) ?? [];
		if (timeline === undefined || switchLsn === undefined) {
			return null;
		}
		switches.push({ timeline: Number(timeline), switchLsn: parseLsn(switchLsn) });
	}
	return switches;
}

/** Version, pid, and this session's timeout (another session may see another value), in one row. */
async function readServerFacts(
	ladder: Ladder,
): Promise<{ serverVersion: number; walsenderPid: number; walSenderTimeoutMs: number }> {
	const row = oneRow(
		ladder,
		await ladder.query(
			"SELECT current_setting('server_version_num') AS version, pg_backend_pid() AS pid, " +
				"(SELECT setting FROM pg_settings WHERE name = 'wal_sender_timeout') AS timeout_ms",
		),
	);
	const serverVersion = integer(ladder, row, "version");
	if (serverVersion < SERVER_VERSION_MIN) {
		throw ladder.misconfigured("PostgreSQL 14 is the oldest version that Sluice can follow", null, {
			serverVersion,
		});
	}
	return {
		serverVersion,
		walsenderPid: integer(ladder, row, "pid"),
		walSenderTimeoutMs: integer(ladder, row, "timeout_ms"),
	};
}

async function applySessionSettings(ladder: Ladder): Promise<void> {
	await ladder.query(SESSION_SETTINGS.map(([name, value]) => `SET ${name} = ${quoteLiteral(value)}`).join("; "));
	try {
		await ladder.query(`SET client_connection_check_interval = ${quoteLiteral(CLIENT_CHECK_INTERVAL)}`);
	} catch (error) {
		// Not every platform can tell that a peer is gone, and it only shortens a wait.
		if (!(error instanceof SluiceError) || typeof error.context["sqlState"] !== "string") {
			throw error;
		}
	}
}

async function checkWalLevel(ladder: Ladder): Promise<void> {
	const row = oneRow(ladder, await ladder.query("SELECT current_setting('wal_level') AS wal_level"));
	const walLevel = text(ladder, row, "wal_level");
	if (walLevel !== "logical") {
		throw ladder.misconfigured(
			"wal_level is not logical; PostgreSQL must be restarted after the statement",
			"ALTER SYSTEM SET wal_level = 'logical'",
			{ walLevel },
		);
	}
}

async function findPublication(ladder: Ladder): Promise<boolean> {
	const name = quoteLiteral(ladder.options.publicationName);
	const rows = await ladder.query(`SELECT oid FROM pg_publication WHERE pubname = ${name}`);
	return rows.length > 0;
}

/** Empty: the registrar adds the tables of shapes. */
async function createPublication(ladder: Ladder, serverVersion: number): Promise<void> {
	const options = serverVersion >= SERVER_VERSION_GENERATED ? " WITH (publish_generated_columns = stored)" : "";
	const statement = `CREATE PUBLICATION ${quoteIdentifier(ladder.options.publicationName)}${options}`;
	await ladder.query(statement, statement);
}

/** All four operations, or a shape would silently miss changes. */
async function checkPublication(ladder: Ladder): Promise<void> {
	const { publicationName } = ladder.options;
	const row = oneRow(
		ladder,
		await ladder.query(
			"SELECT (pubinsert AND pubupdate AND pubdelete AND pubtruncate) AS complete " +
				`FROM pg_publication WHERE pubname = ${quoteLiteral(publicationName)}`,
		),
	);
	if (text(ladder, row, "complete") !== "t") {
		throw ladder.misconfigured(
			"the publication leaves operations out",
			`ALTER PUBLICATION ${quoteIdentifier(publicationName)} SET (publish = 'insert, update, delete, truncate')`,
		);
	}
}

interface FoundSlot {
	readonly confirmedFlushLsn: bigint;
	/** Invalidated: it no longer holds what we would need. */
	readonly lost: boolean;
	/** Standbys copy it. */
	readonly failover: boolean;
}

/** Reads the slot through JSON, because its columns differ between versions. */
async function findSlot(ladder: Ladder): Promise<FoundSlot | null> {
	const { slotName } = ladder.options;
	const columns = ["slot_type", "plugin", "database", "active_pid", "confirmed_flush_lsn", "wal_status"];
	const optional = ["conflicting", "invalidation_reason", "failover"];
	const [row] = await ladder.query(
		`SELECT ${[...columns, ...optional].map((name) => `slot->>'${name}' AS ${name}`).join(", ")}, ` +
			"current_database() AS here FROM (SELECT to_jsonb(s) AS slot FROM pg_replication_slots s " +
			`WHERE slot_name = ${quoteLiteral(slotName)}) AS found`,
	);
	if (row === undefined) {
		return null;
	}
	if (row["slot_type"] !== "logical" || row["plugin"] !== "pgoutput" || row["database"] !== row["here"]) {
		throw ladder.misconfigured(
			"a slot of this name exists and is not one of Sluice in this database",
			`SELECT pg_drop_replication_slot(${quoteLiteral(slotName)})`,
			{ slotType: row["slot_type"], plugin: row["plugin"], database: row["database"] },
		);
	}
	if (typeof row["active_pid"] === "string") {
		throw await slotInUse(ladder, Number(row["active_pid"]));
	}
	const lost =
		row["wal_status"] === "lost" ||
		row["conflicting"] === "true" ||
		typeof row["invalidation_reason"] === "string" ||
		typeof row["confirmed_flush_lsn"] !== "string";
	const confirmedFlushLsn = lost ? 0n : parseLsn(text(ladder, row, "confirmed_flush_lsn"));
	return { lost, confirmedFlushLsn, failover: row["failover"] === "true" };
}

/**
 * Who has the slot. A walsender of our own earlier connection, which the server has not noticed to be dead, is told
 * to end; a stranger's is named and left alone.
 */
async function slotInUse(ladder: Ladder, activePid: number): Promise<SluiceError> {
	const { slotName, formerWalsenderPid } = ladder.options;
	const statement = `SELECT pg_terminate_backend(${activePid})`;
	if (activePid === formerWalsenderPid) {
		await ladder.query(statement);
		return new SluiceError("SLUICE_SLOT_IN_USE", { step: ladder.step, slotName, activePid, holder: "ours, ended now" });
	}
	// Columns that we may not see of other roles' sessions are null.
	const [row] = await ladder.query(
		"SELECT usename AS role, application_name AS application, client_addr::text AS address, " +
			`backend_start::text AS since FROM pg_stat_activity WHERE pid = ${activePid}`,
	);
	return new SluiceError("SLUICE_SLOT_IN_USE", {
		step: ladder.step,
		slotName,
		activePid,
		problem: "another process follows the slot: stop it, or end its session with the statement",
		statement,
		holder: row ?? null,
	});
}

/** Without WAIT: a slot that is in use answers 55006. */
async function dropSlot(ladder: Ladder): Promise<void> {
	await ladder.query(`DROP_REPLICATION_SLOT ${quoteIdentifier(ladder.options.slotName)}`);
}

/** A slot of before, or from when it was not wanted. It is useful without, so a server's no is taken. */
async function letStandbysCopy(ladder: Ladder): Promise<void> {
	try {
		await ladder.query(`ALTER_REPLICATION_SLOT ${quoteIdentifier(ladder.options.slotName)} (FAILOVER true)`);
	} catch (error) {
		if (!(error instanceof SluiceError) || typeof error.context["sqlState"] !== "string") {
			throw error;
		}
	}
}

/** Waits until every transaction that is open now has ended. → consistent_point */
async function createSlot(ladder: Ladder, failover: boolean): Promise<bigint> {
	const name = quoteIdentifier(ladder.options.slotName);
	const options = failover ? "(SNAPSHOT 'nothing', FAILOVER true)" : "NOEXPORT_SNAPSHOT";
	const rows = await ladder.queryWithoutLimit(`CREATE_REPLICATION_SLOT ${name} LOGICAL pgoutput ${options}`);
	return parseLsn(text(ladder, oneRow(ladder, rows), "consistent_point"));
}

function oneRow(ladder: Ladder, rows: readonly Row[]): Row {
	const [row] = rows;
	if (row === undefined || rows.length !== 1) {
		throw unexpected(ladder, { rows: rows.length });
	}
	return row;
}

function text(ladder: Ladder, row: Row, column: string): string {
	const value = row[column];
	if (typeof value !== "string") {
		throw unexpected(ladder, { column });
	}
	return value;
}

function integer(ladder: Ladder, row: Row, column: string): number {
	const value = Number(text(ladder, row, column));
	if (!Number.isSafeInteger(value)) {
		throw unexpected(ladder, { column });
	}
	return value;
}

/** The server answered with something else than the rung expects: perhaps it is no PostgreSQL. */
function unexpected(ladder: Ladder, facts: Record<string, unknown>): SluiceError {
	return new SluiceError("SLUICE_LINK_REFUSED", { step: ladder.step, problem: "an unexpected reply", ...facts });
}
