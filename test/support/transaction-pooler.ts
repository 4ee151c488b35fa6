/**
 * A pooler in transaction mode, as PgBouncer is one: each transaction of a client runs on whatever server connection
 * is free, in turn, so that a session's state is somebody else's the next time. Refuses what PgBouncer refuses
 * (startup parameters beyond a few, replication) and notes what would only work by luck: named statements, settings
 * and locks of a session. Without TLS; connects as its URL says, whatever the client's password. Owns its sockets.
 * Called by tests.
 * Source: PostgreSQL manual, "Message Formats"; PgBouncer manual, "Features", table of SQL feature support.
 */

import { once } from "node:events";
import { type AddressInfo, createServer, type Server, Socket } from "node:net";

const SSL_REQUEST = 80_877_103;
const CANCEL_REQUEST = 80_877_102;
const ALLOWED_PARAMETERS = new Set(["user", "database", "client_encoding", "application_name"]);
const READY = 0x5a;

/** A transaction-mode pooler cannot keep these. */
const SESSION_STATE = [
	/^\s*SET\s+(?!LOCAL\b|TRANSACTION\b)/i,
	/;\s*SET\s+(?!LOCAL\b|TRANSACTION\b)/i,
	/\bset_config\([^)]*false\s*\)/i,
	/\bpg_advisory_lock\b|\bpg_try_advisory_lock\b/i,
	/^\s*(LISTEN|DECLARE|PREPARE|CREATE\s+TEMP)/i,
];

interface ServerSession {
	readonly socket: Socket;
	owner: PoolClient | null;
	rest: Buffer;
	started: boolean;
}

interface PoolClient {
	readonly socket: Socket;
	session: ServerSession | null;
	waiting: Buffer[];
	rest: Buffer;
	greeted: boolean;
}

export class TransactionPooler implements AsyncDisposable {
	/** What should not have been sent through a pooler. */
	readonly violations: string[] = [];
	/** Transactions (or single statements) that ran. */
	transactions = 0;
	readonly #target: URL;
	readonly #server: Server;
	readonly #sessions: ServerSession[] = [];
	readonly #queue: PoolClient[] = [];
	readonly #clients = new Set<PoolClient>();
	readonly #size: number;
	/** ParameterStatus messages of the first server session, for greetings. */
	#parameters: Buffer[] = [];
	#next = 0;

	private constructor(target: URL, size: number) {
		this.#target = target;
		this.#size = size;
		this.#server = createServer((socket) => this.#accept(socket));
	}

	/** @param url of a server that lets the role in without a password */
	static async start(url: string, size = 3): Promise<TransactionPooler> {
		const pooler = new TransactionPooler(new URL(url), size);
		pooler.#server.listen(0, "127.0.0.1");
		await once(pooler.#server, "listening");
		await Promise.all(Array.from({ length: size }, () => pooler.#openSession()));
		return pooler;
	}

	get url(): string {
		const url = new URL(this.#target);
		url.port = String((this.#server.address() as AddressInfo).port);
		return url.href;
	}

	async [Symbol.asyncDispose](): Promise<void> {
		const closed = once(this.#server, "close");
		this.#server.close();
		for (const { socket } of [...this.#clients, ...this.#sessions]) {
			socket.destroy();
		}
		await closed;
	}

	#accept(socket: Socket): void {
		const client: PoolClient = { socket, session: null, waiting: [], rest: Buffer.alloc(0), greeted: false };
		this.#clients.add(client);
		socket.on("error", () => undefined);
		socket.on("close", () => this.#gone(client));
		socket.on("data", (chunk: Buffer) => {
			client.rest = Buffer.concat([client.rest, chunk]);
			this.#readClient(client);
		});
	}

	#readClient(client: PoolClient): void {
		while (!client.greeted && client.rest.length >= 8) {
			const length = client.rest.readInt32BE(0);
			if (client.rest.length < length) {
				return;
			}
			const body = client.rest.subarray(4, length);
			client.rest = client.rest.subarray(length);
			this.#startup(client, body);
		}
		for (const frame of takeFrames(client)) {
			this.#fromClient(client, frame);
		}
	}

	#startup(client: PoolClient, body: Buffer): void {
		const code = body.readInt32BE(0);
		if (code === SSL_REQUEST) {
			client.socket.write("N");
			return;
		}
		if (code === CANCEL_REQUEST) {
			client.socket.end();
			return;
		}
		const words = body.toString("utf8", 4).split("\0");
		const unknown = words.find((word, at) => at % 2 === 0 && word !== "" && !ALLOWED_PARAMETERS.has(word));
		if (unknown !== undefined) {
			const text = `SFATAL\0C08P01\0Munsupported startup parameter: ${unknown}\0\0`;
			client.socket.end(frame("E", Buffer.from(text)));
			return;
		}
		client.greeted = true;
		const authenticated = frame("R", Buffer.from([0, 0, 0, 0]));
		const key = frame("K", Buffer.from([0, 0, 0, 1, 0, 0, 0, 2]));
		client.socket.write(Buffer.concat([authenticated, ...this.#parameters, key, frame("Z", Buffer.from("I"))]));
	}

	#fromClient(client: PoolClient, message: Buffer): void {
		const type = message.toString("latin1", 0, 1);
		if (type === "X") {
			client.socket.end();
			return;
		}
		if (type === "Q") {
			this.#judge(message.toString("utf8", 5, message.length - 1));
		} else if (type === "P") {
			const [name = "", text = ""] = message.toString("utf8", 5).split("\0");
			this.#judge(text);
			if (name !== "") {
				this.violations.push(`a named statement: ${name}`);
			}
		}
		if (client.session !== null) {
			client.session.socket.write(message);
			return;
		}
		client.waiting.push(message);
		if (!this.#queue.includes(client)) {
			this.#queue.push(client);
		}
		this.#assign();
	}

	#judge(text: string): void {
		if (SESSION_STATE.some((pattern) => pattern.test(text))) {
			this.violations.push(text);
		}
	}

	/** In turn: never the session that the client had before, if another one is free. */
	#assign(): void {
		for (let tried = 0; this.#queue.length > 0 && tried < this.#sessions.length; tried += 1) {
			const session = this.#sessions[this.#next % this.#sessions.length];
			this.#next += 1;
			if (session === undefined || session.owner !== null || !session.started) {
				continue;
			}
			const client = this.#queue.shift();
			if (client !== undefined) {
				session.owner = client;
				client.session = session;
				this.transactions += 1;
				session.socket.write(Buffer.concat(client.waiting.splice(0)));
				tried = -1;
			}
		}
	}

	/** A client that goes in the middle takes its server session along, as with PgBouncer. */
	#gone(client: PoolClient): void {
		this.#clients.delete(client);
		const at = this.#queue.indexOf(client);
		if (at >= 0) {
			this.#queue.splice(at, 1);
		}
		client.session?.socket.destroy();
	}

	async #openSession(): Promise<void> {
		const socket = new Socket();
		const session: ServerSession = { socket, owner: null, rest: Buffer.alloc(0), started: false };
		this.#sessions.push(session);
		socket.on("error", () => undefined);
		socket.on("close", () => {
			session.owner?.socket.destroy();
			this.#sessions.splice(this.#sessions.indexOf(session), 1);
			if (this.#server.listening && this.#sessions.length < this.#size) {
				void this.#openSession();
			}
		});
		const started = Promise.withResolvers<void>();
		socket.once("close", () => started.resolve());
		socket.on("data", (chunk: Buffer) => {
			session.rest = Buffer.concat([session.rest, chunk]);
			for (const message of takeFrames(session)) {
				this.#fromServer(session, message);
			}
			if (session.started) {
				started.resolve();
			}
		});
		socket.connect(Number(this.#target.port), this.#target.hostname);
		const words = [
			"user",
			decodeURIComponent(this.#target.username),
			"database",
			this.#target.pathname.slice(1),
			"",
			"",
		];
		const parameters = Buffer.from(words.join("\0"));
		const head = Buffer.alloc(8);
		head.writeInt32BE(8 + parameters.length, 0);
		head.writeInt32BE(196_608, 4);
		socket.write(Buffer.concat([head, parameters]));
		await started.promise;
	}

	#fromServer(session: ServerSession, message: Buffer): void {
		if (!session.started) {
			if (message.toString("latin1", 0, 1) === "S" && this.#parameters.length < 20) {
				this.#parameters.push(Buffer.from(message));
			}
			session.started = message[0] === READY;
			if (session.started) {
				this.#assign();
			}
			return;
		}
		const { owner } = session;
		owner?.socket.write(message);
		if (message[0] === READY && message.toString("latin1", 5, 6) === "I") {
			session.owner = null;
			if (owner !== null) {
				owner.session = null;
			}
			this.#assign();
		}
	}
}

function frame(type: string, body: Buffer): Buffer {
	const head = Buffer.alloc(5);
	head.write(type, 0, "latin1");
	head.writeInt32BE(4 + body.length, 1);
	return Buffer.concat([head, body]);
}

/** Cuts whole messages off what was read. */
function takeFrames(from: { rest: Buffer }): Buffer[] {
	const frames: Buffer[] = [];
	while (from.rest.length >= 5) {
		const length = 1 + from.rest.readInt32BE(1);
		if (from.rest.length < length) {
			break;
		}
		frames.push(from.rest.subarray(0, length));
		from.rest = from.rest.subarray(length);
	}
	return frames;
}
