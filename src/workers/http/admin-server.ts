/**
 * The admin port: status, metrics, profiles and lane control, for operators on the same machine. Owns its listening
 * socket and the profile files; everything it knows it asks of main. Served by HTTP thread 0 only.
 */

import { mkdir, writeFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { join } from "node:path";
import type { Config } from "../../shared/config.ts";
import { SluiceError } from "../../shared/errors.ts";
import { HTTP_HEADERS_TIMEOUT_MS, HTTP_STOP_GRACE_MS } from "../../shared/limits.ts";
import type { Logger } from "../../shared/logging.ts";
import type { MainControl } from "../../shared/messages.ts";
import type { ShapeTable } from "../../shared/shape-table.ts";
import type { Status } from "../../shared/status.ts";
import { type AdminRoute, adminTarget, isAllowedCaller, isLoopbackAddress, wholeNumber } from "./admin-route.ts";
import { closeServer, listenOn } from "./api-server.ts";
import { adminHealthOf, healthOf } from "./health.ts";
import { type HttpMeasures, metricsText } from "./metrics.ts";
import { CONTENT_TYPE_JSON, SERVER_NAME } from "./response-headers.ts";
import { parseTarget } from "./router.ts";

export interface AdminServerOptions {
	readonly config: Config;
	readonly table: ShapeTable;
	readonly main: MainControl;
	readonly measures: HttpMeasures;
	readonly logger: Logger;
}

interface Reply {
	readonly status: number;
	readonly body: string;
	readonly headers?: Readonly<Record<string, string>>;
}

const STALE_SECONDS_MAX = 86_400;
const PROFILE_SECONDS_MAX = 120;
const PROFILE_SECONDS_DEFAULT = 10;
const CONTENT_TYPE_METRICS = "text/plain; version=0.0.4; charset=utf-8";

export class AdminServer {
	readonly #options: AdminServerOptions;
	readonly #server: Server;

	constructor(options: AdminServerOptions) {
		this.#options = options;
		this.#server = createServer({ headersTimeout: HTTP_HEADERS_TIMEOUT_MS }, (request, response) => {
			// No endpoint reads a body.
			request.resume();
			void this.#handle(request, response);
		});
	}

	/** @throws SluiceError SLUICE_PORT_IN_USE */
	listen(): Promise<number> {
		const { adminHost, adminPort } = this.#options.config;
		return listenOn(this.#server, { host: adminHost, port: adminPort });
	}

	stop(): Promise<void> {
		return closeServer(this.#server, HTTP_STOP_GRACE_MS);
	}

	async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
		let reply: Reply;
		try {
			reply = await this.#reply(request);
		} catch (error) {
			this.#options.logger.warn({ err: error }, "an admin request failed");
			reply = describe(error);
		}
		if (response.destroyed) {
			return;
		}
		response.writeHead(reply.status, {
			"content-type": CONTENT_TYPE_JSON,
			"content-length": Buffer.byteLength(reply.body),
			"cache-control": "no-store",
			"electric-server": SERVER_NAME,
			...reply.headers,
		});
		response.end(request.method === "HEAD" ? undefined : reply.body);
	}

	async #reply(request: IncomingMessage): Promise<Reply> {
		const { host, origin } = request.headers;
		if (!isAllowedCaller({ host, origin }, isLoopbackAddress(this.#options.config.adminHost))) {
			return json(403, { error: "the admin port answers local callers only" });
		}
		const { segments, rawQuery } = parseTarget(request.url ?? "/");
		const target = adminTarget(request.method ?? "GET", segments ?? []);
		switch (target.kind) {
			case "not-found":
				return json(404, { error: "not found" });
			case "wrong-method":
				return json(405, { error: "method not allowed" }, { allow: target.allow });
			case "route":
				return this.#answer(target.route, new URLSearchParams(rawQuery));
		}
	}

	async #answer(route: AdminRoute, query: URLSearchParams): Promise<Reply> {
		const { main, measures } = this.#options;
		switch (route) {
			case "status":
				return json(200, await main.status());
			case "health":
				return this.#health(query);
			case "metrics": {
				const status = await this.#statusOrNull();
				const body = await metricsText(status, measures);
				return { status: 200, body, headers: { "content-type": CONTENT_TYPE_METRICS } };
			}
			case "suspend":
			case "resume":
				return this.#steerLanes(route, query);
			case "profile":
				return this.#profile(query);
		}
	}

	async #health(query: URLSearchParams): Promise<Reply> {
		const { table } = this.#options;
		const maxSeconds = wholeNumber(query.get("max-stale-seconds"), {
			min: 0,
			max: STALE_SECONDS_MAX,
			fallback: STALE_SECONDS_MAX,
		});
		if (Number.isNaN(maxSeconds)) {
			return json(400, { error: `max-stale-seconds must be 0 to ${STALE_SECONDS_MAX}` });
		}
		const maxStaleMs = query.has("max-stale-seconds") ? maxSeconds * 1_000 : null;
		return adminHealthOf(healthOf(table.statusLevel(), table.progress()), await this.#statusOrNull(), maxStaleMs);
	}

	/** Metrics of this thread are worth having when main does not answer. */
	async #statusOrNull(): Promise<Status | null> {
		try {
			return await this.#options.main.status();
		} catch (error) {
			this.#options.logger.warn({ err: error }, "main did not answer a scrape");
			return null;
		}
	}

	async #steerLanes(route: "suspend" | "resume", query: URLSearchParams): Promise<Reply> {
		const { main, config } = this.#options;
		const text = query.get("id");
		const lane = wholeNumber(text, { min: 0, max: config.workers - 1, fallback: 0 });
		if (Number.isNaN(lane)) {
			return json(400, { error: `id must be a lane: 0 to ${config.workers - 1}` });
		}
		const target = text === null ? null : lane;
		await (route === "suspend" ? main.suspendLanes(target) : main.resumeLanes(target));
		return json(200, { lane: target ?? "all", state: route === "suspend" ? "suspended" : "running" });
	}

	async #profile(query: URLSearchParams): Promise<Reply> {
		const { main, config } = this.#options;
		const lane = wholeNumber(query.get("lane"), { min: 0, max: config.workers - 1, fallback: 0 });
		const seconds = wholeNumber(query.get("seconds"), {
			min: 1,
			max: PROFILE_SECONDS_MAX,
			fallback: PROFILE_SECONDS_DEFAULT,
		});
		if (Number.isNaN(lane) || Number.isNaN(seconds)) {
			return json(400, {
				error: `lane must be 0 to ${config.workers - 1}, seconds 1 to ${PROFILE_SECONDS_MAX}`,
			});
		}
		const profile = await main.profileLane(lane, seconds);
		const directory = join(config.dataDir, "profiles");
		const time = new Date().toISOString().replaceAll(/[:.]/g, "-");
		const path = join(directory, `lane-${lane}-${time}.cpuprofile`);
		await mkdir(directory, { recursive: true });
		await writeFile(path, profile, { flag: "wx" });
		return json(200, { path, bytes: Buffer.byteLength(profile), seconds });
	}
}

function json(status: number, value: unknown, headers: Readonly<Record<string, string>> = {}): Reply {
	return { status, body: JSON.stringify(value), headers };
}

/** An operator's error may say what happened: the code and its remedy, never a stack. */
function describe(error: unknown): Reply {
	if (error instanceof SluiceError) {
		const status = error.retry === "client" ? 400 : 503;
		return json(status, { error: error.message, code: error.code, remedy: error.remedy });
	}
	return json(500, { error: "internal error" });
}
