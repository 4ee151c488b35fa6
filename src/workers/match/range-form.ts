/**
 * How the value of a range step is read and ordered: the same reading as the compiled comparison's, so that an
 * interval holds exactly the values that the comparison is true for. Called by filter-index.ts.
 */

import { must } from "../../shared/assert.ts";
import { Tuple } from "../../shared/tuple.ts";
import { compileWhere } from "./compile.ts";
import type { IndexNode } from "./index-node.ts";
import { createRangeTable, type RangeTable } from "./index-tables.ts";
import { withFormOf } from "./operands.ts";
import type { RangeStep } from "./registration.ts";
import type { ColumnBinder } from "./truth.ts";

/** A constant is read without a row. */
const NO_ROW = new Tuple(0);

/** An empty table for the step's value at a node. `whenEnded`: it was taken out of the tree. */
export function createRangeTableFor(
	owner: IndexNode,
	identity: string,
	step: RangeStep,
	bind: ColumnBinder,
	whenEnded: () => void,
): RangeTable {
	return withFormOf(step.comparison, [step.operand], bind, compileWhere, ({ getter, compare }) =>
		createRangeTable(owner, identity, {
			get: getter(step.operand),
			compare,
			whenEnded,
			constant: (literal) => must(getter(literal)(NO_ROW), "a constant that is not NULL"),
		}),
	);
}
