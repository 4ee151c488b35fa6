/**
 * Compares, now and then, the shapes with the database: DDL that brought no change to the stream yet, or never
 * will, tables that left the publication, new partitions. Owns the timer and the comparison; must treat "cannot ask" as "no
 * news". Called by the registrar. Source: replication.md 4.9, F10, F44 to F46.
 */

import type { Logger } from "../../shared/logging.ts";
import type { TableInfo } from "../../shared/shape-definition.ts";
import type { SqlSession } from "./database.ts";
import { type Inspector, inspect } from "./inspector.ts";
import type { Publication, ReadyMemberships } from "./publication.ts";
import { membershipLife, type PublicationFacts, readPublication, readTableFacts } from "./publication-facts.ts";
import type { Shape } from "./shape-registry.ts";
import type { Shapes } from "./shapes.ts";
import { tableDrift } from "./table-drift.ts";

/**
 * Every n-th round looks at all tables, the others at partitioned ones: a new partition's rows are missing from the
 * root's shapes until it is noticed.
 */
const ROUNDS_OF_ALL = 6;

export interface ReconcilerRooms {
	readonly session: SqlSession;
	readonly inspector: Inspector;
	readonly publication: Publication;
	readonly publicationName: string;
	readonly memberships: Pick<ReadyMemberships, "readyMembership">;
	readonly shapes: Pick<Shapes, "all" | "remove" | "renewTable">;
	readonly logger: Logger;
	/** Between two comparisons of all tables. */
	readonly intervalMs: number;
	/** Looks only when this is so: the lock is held. */
	readonly enabled: () => boolean;
}

export class Reconciler {
	readonly #rooms: ReconcilerRooms;
	#timer: NodeJS.Timeout | null = null;
	#round = 0;
	#running: Promise<void> | null = null;
	#again = false;

	constructor(rooms: ReconcilerRooms) {
		this.#rooms = rooms;
	}

	start(): void {
		this.#timer = setInterval(() => {
			this.#round += 1;
			const all = this.#round % ROUNDS_OF_ALL === 0;
			if (this.#running === null) {
				void this.#run(all ? () => true : isPartitioned);
			}
		}, this.#rooms.intervalMs / ROUNDS_OF_ALL);
		this.#timer.unref();
	}

	/** A relation has turned up that nobody watches. Calls while a look is under way are answered by one more. */
	checkPartitionedSoon(): void {
		if (this.#running === null) {
			void this.#run(isPartitioned);
		} else if (!this.#again) {
			this.#again = true;
			void this.#running.then(() => {
				this.#again = false;
				return this.#run(isPartitioned);
			});
		}
	}

	/** Looks at all tables now. Resolves also when the database cannot be asked. */
	async checkAll(): Promise<void> {
		await this.#running;
		await this.#run(() => true);
	}

	#run(wanted: (table: TableInfo) => boolean): Promise<void> {
		const running = this.check(wanted)
			.catch((err: unknown) => {
				this.#rooms.logger.warn({ err }, "the shapes could not be compared with the database");
			})
			.finally(() => {
				this.#running = null;
			});
		this.#running = running;
		return running;
	}

	async stop(): Promise<void> {
		if (this.#timer !== null) {
			clearInterval(this.#timer);
		}
		await this.#running;
	}

	/** One comparison of the tables that `wanted` names. */
	async check(wanted: (table: TableInfo) => boolean): Promise<void> {
		if (!this.#rooms.enabled()) {
			return;
		}
		const byTable = new Map<number, Shape[]>();
		for (const shape of this.#rooms.shapes.all()) {
			const { table } = shape.definition;
			// What a lane does not hold yet is still to look at the table itself.
			const followed = shape.state === "active" || (shape.state === "creating" && shape.connection !== null);
			if (followed && wanted(table)) {
				const shapes = byTable.get(table.oid);
				if (shapes === undefined) {
					byTable.set(table.oid, [shape]);
				} else {
					shapes.push(shape);
				}
			}
		}
		if (byTable.size === 0) {
			return;
		}
		const publication = await readPublication(this.#rooms.session, this.#rooms.publicationName);
		for (const [oid, shapes] of byTable) {
			await this.#checkTable(oid, shapes, publication);
		}
	}

	async #checkTable(oid: number, shapes: readonly Shape[], publication: PublicationFacts | null): Promise<void> {
		const { session, publicationName } = this.#rooms;
		const facts = await readTableFacts(session, publicationName, oid);
		const [relation] = facts.relations;
		const inspected =
			relation === undefined ? null : await inspect(session, { schema: relation.schema, name: relation.name });
		const table = inspected === null ? null : this.#rooms.inspector.intern(inspected.table);
		const followed =
			publication?.allOperations === true &&
			facts.membership.membership !== null &&
			!facts.membership.restricted &&
			// Taken out and added again is another membership: changes in between were not streamed.
			this.#rooms.memberships.readyMembership(oid) === membershipLife(facts) &&
			facts.relations.every((each) => each.replicaIdentity === "f");
		const ends: Promise<void>[] = [];
		for (const shape of shapes) {
			const drift = tableDrift(shape.definition, table);
			if (drift !== null || !followed) {
				ends.push(this.#end(shape, drift ?? "not-followed"));
			} else if (table !== null) {
				this.#rooms.shapes.renewTable(shape, table);
			}
		}
		await Promise.all(ends);
	}

	async #end(shape: Shape, reason: string): Promise<void> {
		const { inspector, publication, shapes, logger } = this.#rooms;
		const { table } = shape.definition;
		logger.info({ handle: shape.handle, table: table.name, reason }, "a shape's table has changed, dropping the shape");
		inspector.invalidate(table);
		publication.forget(table.oid);
		if (reason === "printed") {
			publication.awaitWriters(table.oid);
		}
		await shapes.remove(shape, "table-changed");
	}
}

function isPartitioned(table: TableInfo): boolean {
	return table.kind === "p";
}
