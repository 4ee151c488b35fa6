/**
 * Makes a table followable: in the publication, REPLICA IDENTITY FULL, and no transaction left over that wrote
 * to it before that. Owns this readiness, once for each table and membership, and the gap between two
 * memberships: shapes of the earlier one are ended before the later one is remembered. Must never queue an ALTER
 * TABLE without a lock timeout, as later readers and writers would queue behind it. Called by shapes, before a shape
 * is added to a lane. Source: replication.md 4.9 and 5.3.
 */

import { SluiceError } from "../../shared/errors.ts";
import type { TableInfo } from "../../shared/shape-definition.ts";
import { displayQualified, quoteQualified } from "../../shared/sql-quoting.ts";
import { backoffMs, waitMs } from "./backoff.ts";
import { type Database, type SqlSession, sqlStateOf } from "./database.ts";
import { membershipLife, readTableFacts, readWriters, type TableFacts } from "./publication-facts.ts";
import { planReadiness, type ReadinessPlan } from "./readiness-plan.ts";

/** The longest that the lock attempt may hold up writers that come after it. */
const LOCK_TIMEOUT_MS = 2_000;
/** Callers wait this long for a table at most; a client's retry goes on waiting. */
const READY_BUDGET_MS = 40_000;
const RETRY_BACKOFF = { firstMs: 500, maxMs: 5_000 };
/** A table that was looked at is not looked at again for this long, however many shapes are asked for. */
const CHECK_VALID_MS = 1_000;
const POLL_BACKOFF = { firstMs: 10, maxMs: 250 };

/** lock_not_available, deadlock_detected, internal_error ("tuple concurrently updated"). */
const RETRIED_STATES = new Set(["55P03", "40P01", "XX000"]);

/** Where it is remembered which memberships were waited for. */
export interface ReadyMemberships {
	readyMembership(tableOid: number): string | null;
	storeReadyMembership(tableOid: number, membership: string): void;
	clearReadyMemberships(): void;
}

export interface PublicationRooms {
	readonly database: Database;
	readonly memberships: ReadyMemberships;
	readonly name: string;
	/** Alters nothing: an operator does. */
	readonly manual: boolean;
	/** Ends every shape of the table, those being created too. Resolves when that is durable. */
	readonly endShapes: (tableOid: number) => Promise<void>;
	/** Aborted when the registrar stops. */
	readonly signal: AbortSignal;
}

/** The last look at a table, or the one that is under way. */
interface Check {
	/** What it depended on: a new partition, for one, makes the root not ready. */
	readonly key: string;
	readonly ready: Promise<void>;
	running: boolean;
	/** performance.now() until which it counts. */
	validUntil: number;
}

export class Publication {
	readonly #database: Database;
	readonly #memberships: ReadyMemberships;
	readonly #name: string;
	readonly #manual: boolean;
	readonly #endShapes: PublicationRooms["endShapes"];
	readonly #signal: AbortSignal;
	/** By table oid: one at a time for each table. */
	readonly #checks = new Map<number, Check>();
	/** Tables whose writers are waited for once more, ready or not. */
	readonly #awaited = new Set<number>();

	constructor(rooms: PublicationRooms) {
		this.#database = rooms.database;
		this.#memberships = rooms.memberships;
		this.#name = rooms.name;
		this.#manual = rooms.manual;
		this.#endShapes = rooms.endShapes;
		this.#signal = rooms.signal;
	}

	/**
	 * Resolves once every transaction that ends from now on is streamed in full for this table.
	 * @param needsGenerated the shape selects a generated column
	 * @throws SluiceError `SLUICE_TABLE_NOT_READY` with `serverMessage` and `statement`, `SLUICE_SNAPSHOT_FAILED`
	 * when writers did not end in time, `SLUICE_DATABASE_UNAVAILABLE`
	 */
	tableReady(table: TableInfo, needsGenerated: boolean): Promise<void> {
		const key = JSON.stringify([table.schema, table.name, table.leafOids, needsGenerated]);
		const now = performance.now();
		const last = this.#checks.get(table.oid);
		if (last?.key === key && last.validUntil > now) {
			return last.ready;
		}
		for (const [oid, check] of this.#checks) {
			if (!check.running && check.validUntil <= now) {
				this.#checks.delete(oid);
			}
		}
		const earlier = last?.ready.catch(() => {}) ?? Promise.resolve();
		const check: Check = {
			key,
			ready: earlier.then(() => this.#prepare(table, needsGenerated)),
			running: true,
			validUntil: Number.POSITIVE_INFINITY,
		};
		this.#checks.set(table.oid, check);
		const over = (validMs: number): void => {
			check.running = false;
			check.validUntil = Math.min(check.validUntil, performance.now() + validMs);
		};
		check.ready.then(
			() => over(CHECK_VALID_MS),
			() => over(0),
		);
		return check.ready;
	}

	/** The table left the publication, or its identity changed: start over when it is asked for again. */
	forget(tableOid: number): void {
		const check = this.#checks.get(tableOid);
		if (check !== undefined) {
			check.validUntil = 0;
		}
	}

	/**
	 * Rows that open transactions have written come in words that are out of date (an enum's label was renamed, which waits
	 * for nobody): a new shape's snapshot must have them all.
	 */
	awaitWriters(tableOid: number): void {
		this.forget(tableOid);
		this.#awaited.add(tableOid);
	}

	/** Everything may have changed: another slot, another publication, another cluster. */
	forgetAll(): void {
		for (const oid of this.#checks.keys()) {
			this.forget(oid);
		}
		this.#memberships.clearReadyMemberships();
	}

	async #prepare(table: TableInfo, needsGenerated: boolean): Promise<void> {
		const deadline = performance.now() + READY_BUDGET_MS;
		let altered = false;
		let gapClosed = false;
		for (let attempt = 0; ; attempt += 1) {
			const facts = await readTableFacts(this.#database, this.#name, table.oid);
			const plan = planReadiness(this.#name, table, facts, needsGenerated, this.#manual);
			if (plan.kind === "refuse") {
				throw new SluiceError("SLUICE_TABLE_NOT_READY", {
					serverMessage: plan.serverMessage,
					statement: plan.statement,
				});
			}
			const life = membershipLife(facts);
			const known = this.#memberships.readyMembership(table.oid);
			if (known !== null && !gapClosed && (plan.kind === "alter" || known !== life)) {
				// Changes between the two memberships were not streamed.
				await this.#endShapes(table.oid);
				gapClosed = true;
			}
			if (plan.kind === "ready") {
				const isAwaited = this.#awaited.delete(table.oid);
				// The lock of our own ALTER has waited for the writers.
				if (!altered && (known !== life || isAwaited)) {
					await this.#waitForEarlierWriters(plan.relationOids, deadline).catch((error: unknown) => {
						this.#awaited.add(table.oid);
						throw error;
					});
				}
				this.#memberships.storeReadyMembership(table.oid, life);
				return;
			}
			if (attempt > 0) {
				// Give writers that hold the table now a chance to end before locking behind them again.
				const pause = backoffMs(attempt, RETRY_BACKOFF, Math.random());
				await this.#writersGone(facts, Math.min(deadline, performance.now() + pause));
			}
			if (performance.now() >= deadline || this.#signal.aborted) {
				throw lockTimedOut();
			}
			altered = await this.#alter(table, plan);
		}
	}

	/** Alters the table in one transaction, which its lock makes wait for writers. False: not now, try again. */
	async #alter(table: TableInfo, plan: Extract<ReadinessPlan, { kind: "alter" }>): Promise<boolean> {
		try {
			await this.#database.transaction(async (session) => {
				await session.query(`SET LOCAL lock_timeout = '${LOCK_TIMEOUT_MS}ms'`);
				const only = table.kind === "r" ? "ONLY " : "";
				await session.query(`LOCK TABLE ${only}${quoteQualified(table)} IN ${plan.lockMode} MODE`);
				for (const statement of plan.statements) {
					await session.query(statement);
				}
				await this.#confirmOid(session, table);
			});
			return true;
		} catch (error) {
			const state = sqlStateOf(error);
			if (state === null) {
				throw error;
			}
			// 42710: somebody else added the table between the look and the lock.
			if (!RETRIED_STATES.has(state) && state !== "42710") {
				throw new SluiceError("SLUICE_TABLE_NOT_READY", {
					sqlState: state,
					serverMessage: error instanceof Error ? error.message : null,
					statement: plan.statements.join("; "),
					cause: error,
				});
			}
			return false;
		}
	}

	/** The statements name the table; between the look and the lock the name may have gone to another one. */
	async #confirmOid(session: SqlSession, table: TableInfo): Promise<void> {
		const [row] = await session.query<{ same: boolean }>("SELECT $1::regclass::oid = $2::oid AS same", [
			quoteQualified(table),
			table.oid,
		]);
		if (row?.same !== true) {
			throw new SluiceError("SLUICE_TABLE_NOT_READY", {
				serverMessage: `Database table ${displayQualified(table)} was replaced by another`,
				statement: null,
			});
		}
	}

	/**
	 * Waits, without a lock, for the transactions that write to a table now: one that began to write before the
	 * table became a member has parts that the stream does not bring.
	 */
	async #waitForEarlierWriters(relationOids: readonly number[], deadline: number): Promise<void> {
		const earlier = await readWriters(this.#database, relationOids);
		for (let attempt = 0; earlier.size > 0; attempt += 1) {
			const now = await readWriters(this.#database, relationOids);
			if (![...earlier].some((holder) => now.has(holder))) {
				return;
			}
			if (performance.now() >= deadline || this.#signal.aborted) {
				throw lockTimedOut();
			}
			await waitMs(backoffMs(attempt, POLL_BACKOFF, Math.random()), this.#signal);
		}
	}

	/** Waits until nobody holds the table for writing, or until `until`. */
	async #writersGone(facts: TableFacts, until: number): Promise<void> {
		const oids = facts.relations.map((relation) => relation.oid);
		for (let attempt = 0; performance.now() < until && !this.#signal.aborted; attempt += 1) {
			if ((await readWriters(this.#database, oids)).size === 0) {
				return;
			}
			await waitMs(backoffMs(attempt, POLL_BACKOFF, Math.random()), this.#signal);
		}
	}
}

function lockTimedOut(): SluiceError {
	return new SluiceError("SLUICE_SNAPSHOT_FAILED", {
		sqlState: "55P03",
		serverMessage: "Snapshot timed out while waiting for a table lock",
	});
}
