/**
 * Answers a subset request: the registrar has the rows read, this room decides which offset the client goes on from
 * and bounds the bodies that wait for their readers. Must read the end of the log BEFORE the query: what is named as
 * seen must be in the query's snapshot. Called by the shape request once the shape is known.
 * Source: shape-http-api.md 12, with its hazards resolved.
 */

import { SluiceError } from "../../shared/errors.ts";
import { HTTP_RESOLVE_WAIT_MS } from "../../shared/limits.ts";
import type { RegistrarShapeControl } from "../../shared/messages.ts";
import type { ShapeTable } from "../../shared/shape-table.ts";
import type { SubsetResult } from "../../shared/subset-task.ts";
import type { BodyBudget } from "./body-budget.ts";
import type { Compression } from "./compression.ts";
import { before, TIMED_OUT } from "./deadline.ts";
import { slowSubset, subsetsExceeded } from "./failures.ts";
import { generateRequestId } from "./request-id.ts";
import {
	endOfLog,
	formatPosition,
	formatRequestOffset,
	OFFSET_SNAPSHOT_END,
	type RequestOffset,
} from "./request-offset.ts";
import { subsetAnswerHeaders } from "./response-headers.ts";
import type { AnswerTarget } from "./shape-answers.ts";
import { type ShapeView, viewShape } from "./shape-view.ts";
import type { SubsetParameters } from "./subset-parameters.ts";

export interface SubsetAnswerRooms {
	readonly table: ShapeTable;
	readonly registrar: Pick<RegistrarShapeControl, "querySubset" | "cancelSubset">;
	/** Of the bodies that are on their way to their readers. */
	readonly subsetBodies: BodyBudget;
	readonly compression: Compression;
}

/**
 * Where the client goes on. A position is echoed: the client moves to what it is told, and entries between its own
 * place and a later one would be skipped for ever. For `now` the end of the log; for a shape that cannot say where
 * that is, its beginning.
 */
function subsetOffset(requested: RequestOffset, view: Pick<ShapeView, "logReadable" | "log">): string {
	switch (requested.kind) {
		case "before-all":
			return "0_0";
		case "now":
			return formatPosition(view.logReadable ? endOfLog(view.log.lastOffset) : OFFSET_SNAPSHOT_END);
		case "position":
			return formatRequestOffset(requested);
	}
}

/** "gone": the shape was removed; nothing was sent. @throws SluiceError as RegistrarShapeControl.querySubset */
export async function answerSubset(
	rooms: SubsetAnswerRooms,
	target: AnswerTarget,
	subset: SubsetParameters,
): Promise<"answered" | "gone"> {
	const { exchange, parameters, shape } = target;
	const view = viewShape(rooms.table, shape);
	const offset = subsetOffset(parameters.offset, view);
	const { handle, generation } = shape;
	const { queryableColumns } = parameters;
	const ticket = generateRequestId();
	let underWay = true;
	const cancel = (): void => {
		if (underWay) {
			underWay = false;
			// When the registrar is not there, neither is the query.
			rooms.registrar.cancelSubset(ticket).catch(() => undefined);
		}
	};
	// A client that leaves takes its query with it.
	exchange.onEnd(cancel);
	let result: SubsetResult | typeof TIMED_OUT;
	try {
		const query = rooms.registrar.querySubset({ ticket, handle, generation, queryableColumns, ...subset });
		result = await before(query, HTTP_RESOLVE_WAIT_MS);
		underWay = result === TIMED_OUT;
	} catch (error) {
		underWay = false;
		if (error instanceof SluiceError && error.code === "SLUICE_SHAPE_GONE") {
			return "gone";
		}
		if (exchange.closed) {
			return "answered";
		}
		throw error;
	}
	if (result === TIMED_OUT) {
		cancel();
		exchange.fail(slowSubset());
		return "answered";
	}
	if (exchange.closed) {
		return "answered";
	}
	const lease = rooms.subsetBodies.lease();
	exchange.onEnd(() => lease.release());
	if (!lease.resize(result.body.byteLength)) {
		exchange.fail(subsetsExceeded());
		return "answered";
	}
	const body = Buffer.from(result.body);
	const encoding = rooms.compression.choose(exchange.request.headers["accept-encoding"], body.length);
	const schema = parameters.live ? null : shape.schemaHeader;
	const headers = subsetAnswerHeaders({ handle, offset, schema, encoding });
	const sent = await rooms.compression.whole(body, encoding);
	// What waits for the reader is the compressed form.
	lease.resize(Math.min(sent.length, body.length));
	exchange.send(200, headers, sent);
	return "answered";
}
