/**
 * What a table needs before it can be followed, from every state it may be in.
 */

import { describe, expect, it } from "vitest";
import type {
	PublicationFacts,
	RelationFacts,
	TableFacts,
} from "../../../../src/workers/registrar/publication-facts.ts";
import { planReadiness } from "../../../../src/workers/registrar/readiness-plan.ts";
import { table } from "./descriptions.ts";

const PUBLICATION: PublicationFacts = {
	oid: 1,
	allTables: false,
	allOperations: true,
	viaRoot: false,
	generatedStored: null,
	owned: true,
};
const ROOT: RelationFacts = {
	oid: 10,
	schema: "public",
	name: "items",
	kind: "r",
	replicaIdentity: "f",
	owned: true,
	hasStored: false,
	hasVirtual: false,
};
const MEMBER: TableFacts = {
	publication: PUBLICATION,
	relations: [ROOT],
	membership: { membership: "1:table:5", restricted: false },
};
const NOT_MEMBER: TableFacts = { ...MEMBER, membership: { membership: null, restricted: false } };

function plan(facts: TableFacts, needsGenerated = false) {
	return planReadiness("p", table(), facts, needsGenerated);
}

describe("the readiness plan", () => {
	it("is empty for a member with a full identity", () => {
		expect(plan(MEMBER)).toEqual({ kind: "ready", relationOids: [10] });
	});

	it("adds the table, and locks no more than that needs", () => {
		expect(plan(NOT_MEMBER)).toEqual({
			kind: "alter",
			lockMode: "SHARE ROW EXCLUSIVE",
			statements: ['ALTER PUBLICATION "p" ADD TABLE ONLY "public"."items"'],
		});
	});

	it("makes the identity of every partition full, under the lock that ALTER TABLE takes", () => {
		const leaf = { ...ROOT, oid: 11, name: "leaf", replicaIdentity: "d" };
		expect(plan({ ...MEMBER, relations: [{ ...ROOT, kind: "p", replicaIdentity: "d" }, leaf] })).toEqual({
			kind: "alter",
			lockMode: "ACCESS EXCLUSIVE",
			statements: [
				'ALTER TABLE ONLY "public"."items" REPLICA IDENTITY FULL',
				'ALTER TABLE ONLY "public"."leaf" REPLICA IDENTITY FULL',
			],
		});
	});

	it.each<[string, TableFacts, RegExp, boolean?]>([
		["the table is gone", { ...MEMBER, relations: [] }, /was dropped or renamed/],
		["it has another name now", { ...MEMBER, relations: [{ ...ROOT, name: "other" }] }, /was dropped or renamed/],
		["there is no publication", { ...MEMBER, publication: null }, /Publication "p" not found in the database/],
		[
			"an operation is not published",
			{ ...MEMBER, publication: { ...PUBLICATION, allOperations: false } },
			/does not publish all required operations/,
		],
		[
			"partitions are published under their root",
			{ ...MEMBER, publication: { ...PUBLICATION, viaRoot: true }, relations: [ROOT, ROOT] },
			/under their root/,
		],
		["generated columns are needed and not published", MEMBER, /does not publish generated columns/, true],
		["rows are filtered", { ...MEMBER, membership: { membership: "m", restricted: true } }, /row filter/],
		[
			"it is no member and the table is not ours",
			{ ...NOT_MEMBER, relations: [{ ...ROOT, owned: false }] },
			/is missing from the publication "p" and Sluice lacks privileges to add it/,
		],
		[
			"it is no member and the publication is not ours",
			{ ...NOT_MEMBER, publication: { ...PUBLICATION, owned: false } },
			/lacks privileges to add it/,
		],
		[
			"the identity is not full and the table not ours",
			{ ...MEMBER, relations: [{ ...ROOT, owned: false, replicaIdentity: "d" }] },
			/does not have its replica identity set to FULL/,
		],
		[
			"a virtual column would make updates fail",
			{
				...NOT_MEMBER,
				publication: { ...PUBLICATION, generatedStored: true },
				relations: [{ ...ROOT, hasVirtual: true }],
			},
			/would refuse every UPDATE/,
		],
		[
			"a stored column would make updates fail",
			{
				...NOT_MEMBER,
				publication: { ...PUBLICATION, generatedStored: false },
				relations: [{ ...ROOT, hasStored: true }],
			},
			/would refuse every UPDATE/,
		],
	])("refuses when %s", (_name, facts, message, needsGenerated = false) => {
		expect(plan(facts, needsGenerated)).toMatchObject({
			kind: "refuse",
			serverMessage: expect.stringMatching(message),
		});
	});

	it("accepts generated columns that are published, and on servers that ignore them", () => {
		const published = {
			...MEMBER,
			publication: { ...PUBLICATION, generatedStored: true },
			relations: [{ ...ROOT, hasStored: true }],
		};
		expect(plan(published, true).kind).toBe("ready");
		expect(plan({ ...MEMBER, relations: [{ ...ROOT, hasStored: true }] }).kind).toBe("ready");
	});
});
