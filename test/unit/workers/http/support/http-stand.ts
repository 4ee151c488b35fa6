/**
 * An HTTP thread in this process, on a temporary directory, with a shape table, a fake registrar behind a real
 * MessageChannel, and announcements on a real BroadcastChannel. Called by the tests of the HTTP room.
 */

import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { Agent, type IncomingHttpHeaders, type IncomingMessage, request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BroadcastChannel, MessageChannel } from "node:worker_threads";
import { type Config, parseConfig } from "../../../../../src/shared/config.ts";
import { controlClient, exposeControl } from "../../../../../src/shared/control-call.ts";
import { SluiceError } from "../../../../../src/shared/errors.ts";
import { createLogger } from "../../../../../src/shared/logging.ts";
import {
	type MainControl,
	type RegistrarShapeControl,
	type ResolvedShape,
	type ShapeRequest,
	type SlotsChanged,
	slotsChannelName,
} from "../../../../../src/shared/messages.ts";
import { LEVEL_ACTIVE, ShapeTable, SLOT_REMOVED } from "../../../../../src/shared/shape-table.ts";
import type { Status } from "../../../../../src/shared/status.ts";
import type { SubsetRequest, SubsetResult } from "../../../../../src/shared/subset-task.ts";
import { HttpThread, type HttpThreadOptions } from "../../../../../src/workers/http/http-thread.ts";
import { ShapeFiles } from "./shape-files.ts";

export const SCHEMA = '{"id":{"type":"int4","pk_index":0,"not_null":true},"title":{"type":"text"}}';

export const SUBSET =
	'{"metadata":{"xmin":"731","xmax":"731","xip_list":[],"database_lsn":"26801112","snapshot_mark":7},"data":[]}';

export function sharedText(text: string): SharedArrayBuffer {
	const bytes = Buffer.from(text);
	const shared = new SharedArrayBuffer(bytes.length);
	new Uint8Array(shared).set(bytes);
	return shared;
}

export interface Answer {
	readonly status: number;
	readonly headers: IncomingHttpHeaders;
	readonly text: string;
}

export interface StandOptions {
	readonly environment?: Readonly<Record<string, string>>;
	readonly thread?: Partial<
		Pick<
			HttpThreadOptions,
			| "admissionLimits"
			| "bodiesBytesMax"
			| "bodyLimits"
			| "connectionsMax"
			| "connectionRequestsMax"
			| "connectionTimes"
			| "eventTimes"
			| "logger"
			| "readinessWaitMs"
			| "resolveWaitMs"
			| "subsetsBytesMax"
		>
	>;
	readonly servesAdmin?: boolean;
	readonly level?: 0 | 1 | 2;
}

/** What the registrar of a test does; replace methods at will. */
export class FakeRegistrar implements RegistrarShapeControl {
	readonly shapes = new Map<string, ResolvedShape>();
	readonly resolved: ShapeRequest[] = [];
	readonly deleted: { readonly definition: ShapeRequest | null; readonly handle: string | null }[] = [];
	onResolve: (request: ShapeRequest) => Promise<ResolvedShape> = async (request) => {
		const shape = this.shapes.get(request.table);
		if (shape === undefined) {
			throw new SluiceError("SLUICE_REQUEST_INVALID", {
				errors: { table: [`Table "${request.table}" does not exist.`] },
			});
		}
		return shape;
	};
	onDelete: () => Promise<void> = async () => undefined;
	readonly corrupt: { readonly handle: string; readonly generation: number }[] = [];
	onCorrupt: () => Promise<void> = async () => undefined;

	async resolveShape(request: ShapeRequest): Promise<ResolvedShape> {
		this.resolved.push(request);
		return this.onResolve(request);
	}

	async findHandle(handle: string): Promise<ResolvedShape | null> {
		return [...this.shapes.values()].find((shape) => shape.handle === handle) ?? null;
	}

	async deleteShape(given: {
		readonly definition: ShapeRequest | null;
		readonly handle: string | null;
	}): Promise<void> {
		this.deleted.push(given);
		await this.onDelete();
	}

	readonly subsets: SubsetRequest[] = [];
	onSubset: (request: SubsetRequest) => Promise<SubsetResult> = async () => ({ body: sharedText(SUBSET) });

	readonly cancelled: string[] = [];

	async cancelSubset(ticket: string): Promise<void> {
		this.cancelled.push(ticket);
	}

	async querySubset(request: SubsetRequest): Promise<SubsetResult> {
		this.subsets.push(request);
		return this.onSubset(request);
	}

	async reportCorrupt(handle: string, generation: number): Promise<void> {
		this.corrupt.push({ handle, generation });
		await this.onCorrupt();
	}
}

export class FakeMain implements MainControl {
	readonly calls: string[] = [];

	async status(): Promise<Status> {
		return STATUS;
	}

	async suspendLanes(lane: number | null): Promise<void> {
		this.calls.push(`suspend ${lane}`);
	}

	async resumeLanes(lane: number | null): Promise<void> {
		this.calls.push(`resume ${lane}`);
	}

	async profileLane(lane: number, seconds: number): Promise<string> {
		this.calls.push(`profile ${lane} ${seconds}`);
		return '{"nodes":[]}';
	}
}

export class HttpStand implements AsyncDisposable {
	readonly directory = mkdtempSync(join(tmpdir(), "sluice-http-"));
	readonly table = ShapeTable.create();
	readonly instanceId = randomUUID();
	readonly registrar = new FakeRegistrar();
	readonly main = new FakeMain();
	readonly config: Config;
	readonly thread: HttpThread;
	readonly agent = new Agent({ keepAlive: true, maxSockets: 10_000 });
	readonly #announcements: BroadcastChannel;
	readonly #channel = new MessageChannel();
	port = 0;
	adminPort: number | null = null;

	constructor(options: StandOptions = {}) {
		this.config = parseConfig({
			SLUICE_PORT: "0",
			SLUICE_ADMIN_PORT: "0",
			SLUICE_DATA_DIR: this.directory,
			SLUICE_LONG_POLL_TIMEOUT_MS: "400",
			SLUICE_CHUNK_BYTES: "400",
			...options.environment,
		});
		this.table.setStatusLevel(options.level ?? LEVEL_ACTIVE);
		exposeControl(this.registrar, this.#channel.port1);
		this.#announcements = new BroadcastChannel(slotsChannelName(this.instanceId));
		this.thread = new HttpThread({
			httpThread: 0,
			config: this.config,
			instanceId: this.instanceId,
			table: this.table,
			registrar: controlClient<RegistrarShapeControl>(this.#channel.port2),
			main: this.main,
			logger: createLogger("silent", "http-test"),
			servesAdmin: options.servesAdmin ?? false,
			port: 0,
			...options.thread,
		});
	}

	static async start(options: StandOptions = {}): Promise<HttpStand> {
		const stand = new HttpStand(options);
		const { port, adminPort } = await stand.thread.listen();
		stand.port = port;
		stand.adminPort = adminPort;
		return stand;
	}

	/** A shape on disk and in the table, known to the registrar under its table's name. */
	shape(table: string, handle: string, slot: number): ShapeFiles {
		const files = new ShapeFiles({
			table: this.table,
			slot,
			directory: join(this.directory, "shapes", handle),
			chunkBytes: this.config.chunkBytes,
		});
		this.registrar.shapes.set(table, {
			handle,
			slot,
			generation: files.generation,
			directory: files.directory,
			schemaHeader: SCHEMA,
			schemaVersion: this.table.schemaVersion(slot),
		});
		return files;
	}

	/** As lanes and the registrar do. */
	announce(...slots: number[]): void {
		this.#announcements.postMessage({ slots: Uint32Array.from(slots) } satisfies SlotsChanged);
	}

	remove(slot: number): void {
		this.table.setState(slot, SLOT_REMOVED);
		this.announce(slot);
	}

	async get(path: string, headers: Readonly<Record<string, string>> = {}): Promise<Answer> {
		return this.send("GET", path, { headers });
	}

	async send(
		method: string,
		path: string,
		options: {
			readonly headers?: Readonly<Record<string, string>>;
			readonly body?: string;
			readonly port?: number;
			readonly signal?: AbortSignal;
		} = {},
	): Promise<Answer> {
		const call = request({
			host: "127.0.0.1",
			port: options.port ?? this.port,
			agent: this.agent,
			method,
			path,
			headers: options.headers ?? {},
			...(options.signal === undefined ? {} : { signal: options.signal }),
		});
		call.end(options.body);
		const [response] = (await once(call, "response")) as [IncomingMessage];
		const pieces: Buffer[] = [];
		for await (const piece of response as AsyncIterable<Buffer>) {
			pieces.push(piece);
		}
		return {
			status: response.statusCode ?? 0,
			headers: response.headers,
			text: Buffer.concat(pieces).toString("utf8"),
		};
	}

	/** Resolves when `count` requests wait for news. */
	async parked(count: number): Promise<void> {
		while (this.thread.gauges()["parked"] !== count) {
			await new Promise((resolve) => setImmediate(resolve));
		}
	}

	async [Symbol.asyncDispose](): Promise<void> {
		this.agent.destroy();
		await this.thread.stop();
		this.#announcements.close();
		this.#channel.port1.close();
		rmSync(this.directory, { recursive: true, force: true });
	}
}

export function query(parameters: Readonly<Record<string, string>>): string {
	return `/v1/shape?${new URLSearchParams(parameters)}`;
}

const STATUS: Status = {
	level: "active",
	progress: {
		state: "streaming",
		cause: null,
		ageMs: 0,
		sinceLsn: "0/0",
		probe: {
			intervalMs: 30_000,
			provenAgeMs: 1_000,
			roundTripMs: 210,
			receiveMs: 12,
			stage: null,
			stageAgeMs: 0,
			sent: 3,
			lost: 0,
			refused: false,
		},
	},
	link: {
		state: "streaming",
		step: "streaming",
		lastError: null,
		walsenderPid: 4711,
		connects: 1,
		paused: false,
		pauseReasons: [],
		pauses: 2,
		pausedForMs: 0,
		detaches: 0,
		receivedLsn: "0/198F4A0",
		durableLsn: "0/198F400",
		acknowledgedLsn: "0/198F400",
		receivedBytes: 1234,
		reads: 1,
		keepalive: { intervalMs: 10_000, sent: 5, largestGapMs: 10_003 },
	},
	lanes: [
		{
			id: 0,
			state: "running",
			writtenBatch: 17,
			durableLsn: "0/198F400",
			restarts: 0,
			cpuMs: 200,
			gauges: { shapes: 3 },
		},
	],
	window: { bytes: 1024, limitBytes: 33_554_432, batches: 1 },
	eventLoopDelayMs: { main: { p50: 0.1, p99: 1.5, max: 4 } },
	cpuMs: { main: 321 },
	shapes: { count: 3 },
	server: null,
	wal: {
		retainedBytes: 4096,
		unacknowledgedBytes: 1024,
		bytesPerSecond: 100,
		safeBytes: 100_000,
		timeLeftMs: 1_000_000,
		cause: "idle",
		oldestTransaction: null,
		catalogXminAge: 12,
	},
	memory: { rssBytes: 100_000_000 },
	uptimeMs: 60_000,
	pid: 1,
};
