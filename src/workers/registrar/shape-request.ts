/**
 * From a request to a checked definition. Owns the order of the checks and their messages (HTTP reference,
 * section 4); must let no text of a client reach SQL: names are looked up as parameters, a `where` is rebuilt
 * by the parser. Called by shapes.
 */

import { SluiceError } from "../../shared/errors.ts";
import { parseIdentifierList, parseTableName, type QualifiedName } from "../../shared/identifiers.ts";
import type { ShapeRequest } from "../../shared/messages.ts";
import type { ColumnInfo, ShapeDefinition, TableInfo, WhereClause } from "../../shared/shape-definition.ts";
import { displayQualified } from "../../shared/sql-quoting.ts";
import { type CaseFolding, columnsOfWhere } from "../../shared/where-tree.ts";
import type { DatabaseFacts, InspectedTable, Inspector } from "./inspector.ts";

/** The where room, as the entry hands it over. */
export interface WhereParser {
	/** @throws SluiceError `SLUICE_REQUEST_INVALID` with `errors` */
	parse(input: {
		readonly text: string;
		readonly params: Readonly<Record<string, string>>;
		readonly columns: readonly ColumnInfo[];
		readonly caseFolding: CaseFolding;
	}): WhereClause;
}

/** Generated columns can be published since 18, stored ones only. */
const SERVER_PUBLISHES_GENERATED = 180_000;

function invalid(field: string, message: string): SluiceError {
	return new SluiceError("SLUICE_REQUEST_INVALID", { errors: { [field]: [message] } });
}

export class ShapeRequests {
	readonly #inspector: Inspector;
	readonly #whereParser: WhereParser;

	constructor(inspector: Inspector, whereParser: WhereParser) {
		this.#inspector = inspector;
		this.#whereParser = whereParser;
	}

	/**
	 * @throws SluiceError `SLUICE_REQUEST_INVALID`, `SLUICE_DATABASE_UNAVAILABLE`
	 */
	async check(request: ShapeRequest): Promise<ShapeDefinition> {
		if (request.table.trim() === "") {
			throw invalid("table", "can't be blank");
		}
		const columns = request.columns === null ? null : parseIdentifierList(request.columns);
		if (columns !== null && !columns.ok) {
			throw invalid("columns", columns.message);
		}
		const name = parseTableName(request.table);
		if (!name.ok) {
			throw invalid("table", name.message);
		}
		if (SYSTEM_SCHEMAS.has(name.value.schema)) {
			throw invalid("table", `Table ${displayQualified(name.value)} is a system table and cannot be followed`);
		}
		const facts = await this.#inspector.facts();
		const inspected = await this.#inspector.table(name.value);
		if (inspected === null) {
			throw invalid("table", missingTable(name.value));
		}
		if (inspected.persistence !== PERMANENT) {
			this.#inspector.invalidate(name.value);
			throw invalid("table", notPermanent(name.value));
		}
		if (inspected.foreignPartitions.length > 0) {
			this.#inspector.invalidate(name.value);
			throw invalid("table", foreignPartitions(name.value, inspected.foreignPartitions));
		}
		const given = columns?.value ?? null;
		try {
			const selected = selectColumns(inspected, given, facts.serverVersion);
			return {
				table: inspected.table,
				where: this.#where(request, inspected, facts),
				selectedColumns: selected,
				columnsGiven: given !== null,
				keyColumns: keyColumnsOf(inspected.table),
				hasPrimaryKey: primaryKeyOf(inspected.table).length > 0,
				replica: request.replica,
				log: request.log,
			};
		} catch (error) {
			// The cached description may be older than the column that the request names.
			this.#inspector.invalidate(name.value);
			throw error;
		}
	}

	#where(request: ShapeRequest, inspected: InspectedTable, facts: DatabaseFacts): WhereClause | null {
		if (request.where === null || request.where.trim() === "") {
			return null;
		}
		const clause = this.#whereParser.parse({
			text: request.where,
			params: request.params,
			columns: inspected.table.columns,
			caseFolding: facts.caseFolding,
		});
		const unpublished = unpublishedColumns(inspected, columnsOfWhere(clause.tree), facts.serverVersion);
		if (unpublished.length > 0) {
			throw invalid(
				"where",
				`The following columns are generated and cannot be used in the condition: ${unpublished.join(", ")}`,
			);
		}
		return clause;
	}
}

/** pg_class.relpersistence */
const PERMANENT = "p";

function notPermanent(name: QualifiedName): string {
	return `Table ${displayQualified(name)} is unlogged or temporary: its changes cannot be followed`;
}

/** PostgreSQL publishes no table of these. */
const SYSTEM_SCHEMAS: ReadonlySet<string> = new Set(["pg_catalog", "information_schema", "pg_toast"]);

function missingTable(name: QualifiedName): string {
	return `Table ${displayQualified(name)} does not exist. If the table name contains capitals or special characters you must quote it.`;
}

function foreignPartitions(name: QualifiedName, partitions: readonly string[]): string {
	return `Table ${displayQualified(name)} has partitions that are foreign tables, whose changes cannot be followed: ${partitions.join(", ")}`;
}

/** Names of the primary key's columns in key order; empty without one. */
function primaryKeyOf(table: TableInfo): readonly string[] {
	return table.columns
		.filter((column) => column.primaryKeyIndex !== null)
		.sort((left, right) => (left.primaryKeyIndex ?? 0) - (right.primaryKeyIndex ?? 0))
		.map((column) => column.name);
}

/** A table without a primary key has all its columns as its key. */
export function keyColumnsOf(table: TableInfo): readonly string[] {
	const primaryKey = primaryKeyOf(table);
	return primaryKey.length > 0 ? primaryKey : table.columns.map((column) => column.name);
}

/**
 * The selected columns, sorted by code unit.
 * @throws SluiceError `SLUICE_REQUEST_INVALID`
 */
function selectColumns(
	inspected: InspectedTable,
	given: readonly string[] | null,
	serverVersion: number,
): readonly string[] {
	const { table } = inspected;
	const byName = new Map(table.columns.map((column) => [column.name, column]));
	const selected = given ?? [...byName.keys()];
	const chosen = new Set(selected);
	const missing = keyColumnsOf(table).filter((column) => !chosen.has(column));
	if (missing.length > 0) {
		throw invalid(
			"columns",
			`The list of columns must include all primary key columns, missing: ${missing.join(", ")}`,
		);
	}
	const unknown = selected.filter((column) => !byName.has(column));
	if (unknown.length > 0) {
		throw invalid("columns", `The following columns are not found on the table: ${unknown.join(", ")}`);
	}
	const unpublished = unpublishedColumns(inspected, selected, serverVersion);
	if (unpublished.length > 0) {
		const hint =
			given === null
				? ". You can exclude them from the shape by explicitly listing which columns to fetch in the 'columns' query param"
				: "";
		throw invalid(
			"columns",
			`The following columns are generated and cannot be included in the shape: ${unpublished.join(", ")}${hint}`,
		);
	}
	return selected.toSorted((left, right) => (left < right ? -1 : left > right ? 1 : 0));
}

/** Those of `names` whose values the stream does not bring. */
function unpublishedColumns(
	inspected: InspectedTable,
	names: readonly string[],
	serverVersion: number,
): readonly string[] {
	const virtual = new Set(inspected.virtualColumns);
	const generated = new Set(
		inspected.table.columns.filter((column) => column.isGenerated).map((column) => column.name),
	);
	return names.filter(
		(name) => virtual.has(name) || (serverVersion < SERVER_PUBLISHES_GENERATED && generated.has(name)),
	);
}

/** Whether the shape reads a generated column: then the publication must bring them. */
export function needsGeneratedColumns(definition: ShapeDefinition): boolean {
	const read = new Set([
		...definition.selectedColumns,
		...(definition.where === null ? [] : columnsOfWhere(definition.where.tree)),
	]);
	return definition.table.columns.some((column) => column.isGenerated && read.has(column.name));
}
