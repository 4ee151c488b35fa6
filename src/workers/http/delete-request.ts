/**
 * DELETE /v1/shape: drops a shape by definition, by handle or by both, when the configuration allows it. Called by
 * the API server after authentication. Source: shape-http-api.md 15.
 */

import type { Config } from "../../shared/config.ts";
import { SluiceError } from "../../shared/errors.ts";
import { HTTP_READINESS_WAIT_MS } from "../../shared/limits.ts";
import type { RegistrarShapeControl } from "../../shared/messages.ts";
import type { ShapeTable } from "../../shared/shape-table.ts";
import type { Exchange } from "./exchange.ts";
import { describeError, invalidRequest, notReady } from "./failures.ts";
import type { LevelWatch } from "./level-watch.ts";
import { checkDeleteRequest } from "./parameters.ts";
import type { Query } from "./query.ts";
import { CONTENT_TYPE_JSON } from "./response-headers.ts";

export interface DeleteRooms {
	readonly config: Config;
	readonly table: ShapeTable;
	readonly levels: LevelWatch;
	readonly registrar: Pick<RegistrarShapeControl, "deleteShape">;
	readonly readinessWaitMs?: number;
}

const HEADERS = { "content-type": CONTENT_TYPE_JSON, "cache-control": "no-cache" };
const MISMATCH =
	"The specified shape definition and handle do not match. Please ensure the shape definition is correct or omit " +
	"the shape handle from the request to obtain a new one.";

/** Answers the request, errors included; never rejects. */
export async function serveDelete(rooms: DeleteRooms, exchange: Exchange, query: Query): Promise<void> {
	if (!rooms.config.enableShapeDeletion) {
		answer(exchange, 405, "DELETE not allowed");
		return;
	}
	if (!(await rooms.levels.whenActive(rooms.readinessWaitMs ?? HTTP_READINESS_WAIT_MS))) {
		exchange.fail(notReady(rooms.table.statusLevel()));
		return;
	}
	const checked = checkDeleteRequest(query);
	if (!checked.ok) {
		exchange.fail(invalidRequest(checked.errors));
		return;
	}
	try {
		await rooms.registrar.deleteShape(checked.value);
		exchange.send(202, HEADERS, null);
	} catch (error) {
		if (error instanceof SluiceError && error.code === "SLUICE_SHAPE_UNKNOWN") {
			answer(exchange, 404, "No existing shape found");
		} else if (isMismatch(error)) {
			answer(exchange, 400, MISMATCH);
		} else {
			exchange.fail(describeError(error, rooms.table.statusLevel()), error);
		}
	}
}

/** The registrar names fields when a definition is wrong, and none when definition and handle disagree. */
function isMismatch(error: unknown): boolean {
	return (
		error instanceof SluiceError && error.code === "SLUICE_REQUEST_INVALID" && error.context["errors"] === undefined
	);
}

function answer(exchange: Exchange, status: number, message: string): void {
	exchange.send(status, HEADERS, JSON.stringify({ message }));
}
