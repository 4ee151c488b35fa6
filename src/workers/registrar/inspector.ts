/**
 * What PostgreSQL's catalogue says about a table: columns, types, keys, partitions. Owns a short-lived cache, so
 * that a burst of shapes on one table asks once; must never outlive a change for long. Called by shape-request
 * and the reconciler.
 */

import { createHash } from "node:crypto";
import { must } from "../../shared/assert.ts";
import type { QualifiedName } from "../../shared/identifiers.ts";
import type { ColumnInfo, TableInfo } from "../../shared/shape-definition.ts";
import type { CaseFolding } from "../../shared/where-tree.ts";
import type { SqlSession } from "./database.ts";
import { readFingerprint } from "./table-fingerprint.ts";

/** A table is looked up again after this long: an altered table is seen by the next request but few. */
const CACHE_MS = 2_000;
/** Tables in the cache, and descriptions that are shared: above this the dead ones are looked for and dropped. */
const SWEEP_ABOVE = 256;

/** A table, and what the shape's definition does not need. */
export interface InspectedTable {
	readonly table: TableInfo;
	/** pg_class.relpersistence: only "p" can be published. */
	readonly persistence: string;
	/** Virtual generated columns (18): never published. */
	readonly virtualColumns: readonly string[];
	/** Partitions that are foreign tables: their changes are never streamed. */
	readonly foreignPartitions: readonly string[];
}

export interface DatabaseFacts {
	/** server_version_num */
	readonly serverVersion: number;
	/** How the database's default collation folds letters. */
	readonly caseFolding: CaseFolding;
}

/** int8 values arrive as text. */
interface ColumnRow {
	readonly oid: string;
	readonly relkind: string;
	readonly relpersistence: string;
	readonly attname: string;
	readonly attnum: number;
	readonly atttypid: string;
	readonly atttypmod: number;
	readonly attndims: number;
	readonly attnotnull: boolean;
	readonly attgenerated: string;
	readonly deterministic: boolean;
	readonly key_position: string | null;
}

interface TypeRow {
	readonly oid: string;
	readonly typname: string;
	readonly typtype: string;
	readonly typbasetype: string;
	/** The element's oid when this is its true array type, else 0 (int2vector, point and the like). */
	readonly element: string;
}

interface LeafRow {
	readonly oid: string;
	readonly isForeign: boolean;
	/** As `regclass` prints it. */
	readonly name: string;
}

const COLUMNS_SQL = `
	SELECT c.oid::int8 AS oid, c.relkind::text, c.relpersistence::text, a.attname::text, a.attnum, a.atttypid::int8,
		a.atttypmod, a.attndims, a.attnotnull, a.attgenerated::text,
		coalesce(l.collisdeterministic, true) AS deterministic, k.position - 1 AS key_position
	FROM pg_catalog.pg_class c
	JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
	JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
	LEFT JOIN pg_catalog.pg_collation l ON l.oid = a.attcollation
	LEFT JOIN pg_catalog.pg_index i ON i.indrelid = c.oid AND i.indisprimary
	LEFT JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k (attnum, position)
		ON k.attnum = a.attnum AND k.position <= i.indnkeyatts
	WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind IN ('r', 'p')
	ORDER BY a.attnum`;

/** Types with all that they are made of: elements of arrays, base types of domains. */
const TYPES_SQL = `
	WITH RECURSIVE parts AS (
		SELECT t.oid, t.typname, t.typtype, t.typbasetype, e.oid AS element
		FROM pg_catalog.pg_type t LEFT JOIN pg_catalog.pg_type e ON e.oid = t.typelem AND e.typarray = t.oid
		WHERE t.oid = ANY ($1::oid[])
		UNION
		SELECT t.oid, t.typname, t.typtype, t.typbasetype, e.oid
		FROM parts p
		JOIN pg_catalog.pg_type t ON t.oid = p.element OR (p.typtype = 'd' AND t.oid = p.typbasetype)
		LEFT JOIN pg_catalog.pg_type e ON e.oid = t.typelem AND e.typarray = t.oid
	)
	SELECT oid::int8, typname::text, typtype::text, typbasetype::int8, coalesce(element, 0)::int8 AS element FROM parts`;

const LEAVES_SQL = `
	SELECT p.relid::oid::int8 AS oid, c.relkind = 'f' AS "isForeign", p.relid::regclass::text AS name
	FROM pg_catalog.pg_partition_tree($1::oid::regclass) p
	JOIN pg_catalog.pg_class c ON c.oid = p.relid
	WHERE p.isleaf AND c.relkind <> 'p' ORDER BY 1`;

const FACTS_SQL = `
	SELECT current_setting('server_version_num')::int AS version, d.datlocprovider::text AS provider, d.datctype::text AS ctype,
		coalesce(to_jsonb(d) ->> 'datlocale', to_jsonb(d) ->> 'daticulocale', '') AS locale
	FROM pg_catalog.pg_database d WHERE d.datname = current_database()`;

export class Inspector {
	readonly #session: SqlSession;
	readonly #now: () => number;
	readonly #direct: SqlSession;
	/** By table: the last look past the cache, and whether it has yet to begin. */
	readonly #looks = new Map<string, { waiting: boolean; readonly found: Promise<TableInfo | null> }>();
	readonly #cache = new Map<string, { readonly until: number; readonly found: Promise<InspectedTable | null> }>();
	/** One object for each distinct description, however often it is read: definitions share it. */
	readonly #interned = new Map<string, WeakRef<TableInfo>>();
	#sweepInternedAbove = SWEEP_ABOVE;
	#sweepCacheAbove = SWEEP_ABOVE;
	#facts: Promise<DatabaseFacts> | null = null;

	/**
	 * @param direct for {@link fresh}: not through a pooler, whose every session may belong to a snapshot that waits for
	 * the answer
	 */
	constructor(session: SqlSession, now: () => number = () => performance.now(), direct: SqlSession = session) {
		this.#session = session;
		this.#now = now;
		this.#direct = direct;
	}

	/**
	 * Null when there is no such ordinary or partitioned table, or it has no columns.
	 * @throws SluiceError `SLUICE_DATABASE_UNAVAILABLE`
	 */
	table(name: QualifiedName): Promise<InspectedTable | null> {
		const key = JSON.stringify([name.schema, name.name]);
		const cached = this.#cache.get(key);
		if (cached !== undefined && cached.until > this.#now()) {
			return cached.found;
		}
		this.#sweepCache();
		const found = inspect(this.#session, name).then((inspected) => this.#shared(inspected));
		this.#cache.set(key, { until: this.#now() + CACHE_MS, found });
		const drop = (): void => {
			if (this.#cache.get(key)?.found === found) {
				this.#cache.delete(key);
			}
		};
		// Misses and failures are not kept: a table made a moment ago must be found.
		found.then((result) => result ?? drop(), drop);
		return found;
	}

	/**
	 * As {@link table}, read after the call and past the cache. Calls while a look is under way share the one after it.
	 * @throws SluiceError `SLUICE_DATABASE_UNAVAILABLE`
	 */
	async fresh(name: QualifiedName): Promise<TableInfo | null> {
		const key = JSON.stringify([name.schema, name.name]);
		const last = this.#looks.get(key);
		if (last?.waiting === true) {
			return last.found;
		}
		const look = {
			waiting: true,
			found: (last?.found.catch(() => {}) ?? Promise.resolve()).then(async () => {
				look.waiting = false;
				return (await inspect(this.#direct, name))?.table ?? null;
			}),
		};
		this.#looks.set(key, look);
		try {
			return await look.found;
		} finally {
			if (this.#looks.get(key) === look) {
				this.#looks.delete(key);
			}
		}
	}

	/** Forgets one table (after a sign that it changed). */
	invalidate(name: QualifiedName): void {
		this.#cache.delete(JSON.stringify([name.schema, name.name]));
	}

	/** Forgets everything, the server's facts too (another server may answer now). */
	clear(): void {
		this.#cache.clear();
		this.#facts = null;
	}

	/** @throws SluiceError `SLUICE_DATABASE_UNAVAILABLE` */
	facts(): Promise<DatabaseFacts> {
		if (this.#facts === null) {
			const facts = readFacts(this.#session);
			this.#facts = facts;
			facts.catch(() => {
				this.#facts = null;
			});
		}
		return this.#facts;
	}

	/** Seeds the shared objects with what the catalogue held. */
	intern(table: TableInfo): TableInfo {
		const key = createHash("sha256").update(JSON.stringify(table)).digest("base64");
		const known = this.#interned.get(key)?.deref();
		if (known !== undefined) {
			return known;
		}
		this.#interned.set(key, new WeakRef(table));
		if (this.#interned.size > this.#sweepInternedAbove) {
			for (const [each, reference] of this.#interned) {
				if (reference.deref() === undefined) {
					this.#interned.delete(each);
				}
			}
			this.#sweepInternedAbove = Math.max(SWEEP_ABOVE, 2 * this.#interned.size);
		}
		return table;
	}

	/** How much is remembered; for tests. */
	get remembered(): { readonly tables: number; readonly descriptions: number } {
		return { tables: this.#cache.size, descriptions: this.#interned.size };
	}

	#sweepCache(): void {
		if (this.#cache.size <= this.#sweepCacheAbove) {
			return;
		}
		const now = this.#now();
		for (const [key, { until }] of this.#cache) {
			if (until <= now) {
				this.#cache.delete(key);
			}
		}
		this.#sweepCacheAbove = Math.max(SWEEP_ABOVE, 2 * this.#cache.size);
	}

	#shared(inspected: InspectedTable | null): InspectedTable | null {
		return inspected === null ? null : { ...inspected, table: this.intern(inspected.table) };
	}
}

/** Reads a table afresh, past any cache. Null when there is no such table, or it has no columns. */
export async function inspect(session: SqlSession, name: QualifiedName): Promise<InspectedTable | null> {
	const rows = await session.query<ColumnRow>(COLUMNS_SQL, [name.schema, name.name]);
	const first = rows[0];
	if (first === undefined) {
		return null;
	}
	const oid = Number(first.oid);
	const columnTypes = [...new Set(rows.map((row) => row.atttypid))];
	const typeRows = await session.query<TypeRow>(TYPES_SQL, [columnTypes]);
	const types = new Map(typeRows.map((row) => [row.oid, row]));
	const leaves = first.relkind === "p" ? await session.query<LeafRow>(LEAVES_SQL, [oid]) : [];
	const fingerprint = await readFingerprint(session, oid, columnTypes, typeRows);
	if (fingerprint === null) {
		return null;
	}
	return {
		persistence: first.relpersistence,
		virtualColumns: rows.filter((row) => row.attgenerated === "v").map((row) => row.attname),
		foreignPartitions: leaves.filter((leaf) => leaf.isForeign).map((leaf) => leaf.name),
		table: {
			oid,
			schema: name.schema,
			name: name.name,
			kind: first.relkind === "p" ? "p" : "r",
			columns: rows.map((row) => columnInfo(row, types)),
			leafOids: leaves.map((leaf) => Number(leaf.oid)),
			fingerprint,
		},
	};
}

function columnInfo(row: ColumnRow, types: ReadonlyMap<string, TypeRow>): ColumnInfo {
	const typeOf = (oid: string): TypeRow => must(types.get(oid), "pg_type holds every type of a column");
	const declared = typeOf(row.atttypid);
	const named = declared.element === "0" ? declared : typeOf(declared.element);
	let base = declared;
	let isArray = false;
	// Domains over arrays of domains: peel until an ordinary type is left.
	while (base.typtype === "d" || base.element !== "0") {
		if (base.typtype === "d") {
			base = typeOf(base.typbasetype);
		} else {
			isArray = true;
			base = typeOf(base.element);
		}
	}
	return {
		name: row.attname,
		attributeNumber: row.attnum,
		typeOid: Number(row.atttypid),
		typeName: named.typname,
		baseTypeName: base.typname,
		typeKind: named.typtype,
		typmod: row.atttypmod,
		dimensions: isArray ? Math.max(1, row.attndims) : 0,
		isArray,
		notNull: row.attnotnull,
		primaryKeyIndex: row.key_position === null ? null : Number(row.key_position),
		isGenerated: row.attgenerated !== "",
		deterministicCollation: row.deterministic,
	};
}

interface FactsRow {
	readonly version: number;
	readonly provider: string;
	readonly ctype: string;
	readonly locale: string;
}

async function readFacts(session: SqlSession): Promise<DatabaseFacts> {
	const rows = await session.query<FactsRow>(FACTS_SQL);
	const row = must(rows[0], "pg_database describes the current database");
	return { serverVersion: row.version, caseFolding: caseFoldingOf(row) };
}

/**
 * Providers: c = libc (datctype counts), i = ICU (datlocale, before 17 daticulocale), b = builtin (datlocale, 17+).
 * Source: PostgreSQL `pg_locale.c`, lc_ctype_is_c; `pg_locale_builtin.c`; ICU's u_strToLower.
 */
export function caseFoldingOf(row: Pick<FactsRow, "provider" | "ctype" | "locale">): CaseFolding {
	if (row.provider === "i") {
		const [language = ""] = row.locale.toLowerCase().split(/[-_@]/);
		return language === "tr" || language === "az" ? "full:tr" : language === "lt" ? "full:lt" : "full";
	}
	const name = row.provider === "b" ? row.locale : row.ctype;
	if (name === "PG_UNICODE_FAST") {
		return "full";
	}
	return name === "C" || name === "POSIX" ? "ascii" : "unicode";
}
