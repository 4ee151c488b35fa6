/**
 * A TCP server that plays PostgreSQL up to START_REPLICATION and then does what a test says: bytes that no real
 * server can be made to send. Called by stream.test.ts.
 */

import { once } from "node:events";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { COPY_BOTH, message, READY, resultSet } from "./wire.ts";

const STARTUP_SSL = 80_877_103;
const QUERY = 0x51;
const COPY_DATA = 0x64;
const TERMINATE = 0x58;

export interface StatusUpdateSeen {
	readonly write: bigint;
	readonly flush: bigint;
	readonly apply: bigint;
	readonly replyRequested: boolean;
	readonly atMs: number;
}

export interface FakeOptions {
	readonly walSenderTimeoutMs?: number;
	/** Answers instead of the script when it returns bytes; "silence" answers nothing. */
	readonly answer?: (statement: string) => Buffer | "silence" | null;
}

export class FakeWalsender implements AsyncDisposable {
	readonly updates: StatusUpdateSeen[] = [];
	readonly statements: string[] = [];
	terminated = false;
	/** Called with each status update, in the server's own tick. */
	onUpdate: (update: StatusUpdateSeen) => void = () => {};
	readonly #options: FakeOptions;
	readonly #server: Server;
	readonly #sockets = new Set<Socket>();
	#streaming: Socket | null = null;

	private constructor(options: FakeOptions) {
		this.#options = options;
		this.#server = createServer((socket) => this.#serve(socket));
	}

	static async listen(options: FakeOptions = {}): Promise<FakeWalsender> {
		const fake = new FakeWalsender(options);
		fake.#server.listen(0, "127.0.0.1");
		await once(fake.#server, "listening");
		return fake;
	}

	get url(): string {
		const { port } = this.#server.address() as AddressInfo;
		return `postgresql://someone:a-secret@127.0.0.1:${port}/app`;
	}

	/** The connection that is in streaming state. */
	get stream(): Socket {
		if (this.#streaming === null) {
			throw new Error("START_REPLICATION has not come");
		}
		return this.#streaming;
	}

	dropConnections(): void {
		for (const socket of this.#sockets) {
			socket.destroy();
		}
	}

	async [Symbol.asyncDispose](): Promise<void> {
		this.dropConnections();
		this.#server.close();
		await once(this.#server, "close");
	}

	#serve(socket: Socket): void {
		this.#sockets.add(socket);
		let pending = Buffer.alloc(0);
		let started = false;
		socket.on("error", () => {});
		socket.on("data", (chunk) => {
			pending = Buffer.concat([pending, chunk]);
			for (;;) {
				const header = started ? 5 : 4;
				const size = pending.length < header ? 0 : pending.readUInt32BE(header - 4) + header - 4;
				if (size === 0 || pending.length < size) {
					return;
				}
				const frame = pending.subarray(0, size);
				pending = pending.subarray(size);
				if (started) {
					this.#onMessage(socket, frame);
				} else if (frame.readUInt32BE(4) === STARTUP_SSL) {
					socket.write("N");
				} else {
					started = true;
					socket.write(Buffer.concat([message("R", Buffer.alloc(4)), message("K", Buffer.alloc(8)), READY]));
				}
			}
		});
	}

	#onMessage(socket: Socket, frame: Buffer): void {
		switch (frame[0]) {
			case QUERY: {
				const statement = frame.toString("utf8", 5, frame.length - 1);
				this.statements.push(statement);
				const answer = this.#options.answer?.(statement) ?? this.#script(statement);
				if (statement.startsWith("START_REPLICATION")) {
					this.#streaming = socket;
				}
				if (answer !== "silence") {
					socket.write(answer);
				}
				return;
			}
			case COPY_DATA: {
				const update = {
					write: frame.readBigUInt64BE(6),
					flush: frame.readBigUInt64BE(14),
					apply: frame.readBigUInt64BE(22),
					replyRequested: frame[38] === 1,
					atMs: performance.now(),
				};
				this.updates.push(update);
				this.onUpdate(update);
				return;
			}
			case TERMINATE:
				this.terminated = true;
				socket.end();
				return;
			default:
				return;
		}
	}

	#script(statement: string): Buffer {
		if (statement === "IDENTIFY_SYSTEM") {
			return resultSet({ systemid: "7000000000000000001", timeline: "1", xlogpos: "0/100", dbname: "app" });
		}
		if (statement.includes("server_version_num")) {
			return resultSet({
				version: "180004",
				pid: "4711",
				timeout_ms: String(this.#options.walSenderTimeoutMs ?? 60_000),
			});
		}
		if (statement.includes("wal_level")) {
			return resultSet({ wal_level: "logical" });
		}
		if (statement.includes("pubinsert")) {
			return resultSet({ complete: "t" });
		}
		if (statement.includes("pg_publication ")) {
			return resultSet({ oid: "16384" });
		}
		if (statement.includes("pg_replication_slots")) {
			return resultSet({
				slot_type: "logical",
				plugin: "pgoutput",
				database: "app",
				active_pid: null,
				confirmed_flush_lsn: "0/100",
				wal_status: "reserved",
				conflicting: "false",
				invalidation_reason: null,
				here: "app",
			});
		}
		if (statement.startsWith("START_REPLICATION")) {
			return COPY_BOTH;
		}
		return resultSet(null);
	}
}
