/**
 * A TCP proxy that fails as networks do: swallows bytes in either direction while the connection stays up (a dropped
 * NAT entry), resets, refuses, delays. Owns its sockets. Must never look into a byte. Called by tests that put it
 * between Sluice and PostgreSQL.
 */

import { once } from "node:events";
import { type AddressInfo, createServer, type Server, Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";

/** "up": from the client to the server. */
export type Direction = "up" | "down";

interface Pair {
	readonly client: Socket;
	readonly server: Socket;
}

export class TcpProxy implements AsyncDisposable {
	/** Milliseconds that each piece waits. */
	delayMs = 0;
	/** What new connections meet: passed on, reset at once, or accepted and never answered. */
	newcomers: "pass" | "reset" | "ignore" = "pass";
	/** Accepted so far. */
	accepted = 0;
	readonly #targetPort: () => number;
	readonly #server: Server;
	readonly #pairs = new Set<Pair>();
	readonly #swallowed = new WeakMap<Pair, Set<Direction>>();

	private constructor(targetPort: () => number) {
		this.#targetPort = targetPort;
		this.#server = createServer((client) => this.#accept(client));
	}

	/** @param targetPort on 127.0.0.1; asked for each connection */
	static async start(targetPort: () => number): Promise<TcpProxy> {
		const proxy = new TcpProxy(targetPort);
		proxy.#server.listen(0, "127.0.0.1");
		await once(proxy.#server, "listening");
		return proxy;
	}

	get port(): number {
		return (this.#server.address() as AddressInfo).port;
	}

	get open(): number {
		return this.#pairs.size;
	}

	/** The URL with this proxy in the place of its server. */
	through(url: string): string {
		const changed = new URL(url);
		changed.hostname = "127.0.0.1";
		changed.port = String(this.port);
		return changed.href;
	}

	/** Connections that are open now lose what is sent that way from now on; nobody is told. New ones are whole. */
	swallow(...directions: readonly Direction[]): void {
		for (const pair of this.#pairs) {
			this.#swallowed.set(pair, new Set(directions));
		}
	}

	/** Ends the open connections with RST, on both sides. */
	reset(): void {
		for (const { client, server } of this.#pairs) {
			client.resetAndDestroy();
			server.resetAndDestroy();
		}
	}

	async [Symbol.asyncDispose](): Promise<void> {
		const closed = once(this.#server, "close");
		this.#server.close();
		for (const { client, server } of this.#pairs) {
			client.destroy();
			server.destroy();
		}
		await closed;
	}

	#accept(client: Socket): void {
		this.accepted += 1;
		if (this.newcomers === "reset") {
			client.resetAndDestroy();
			return;
		}
		const server = new Socket();
		const pair: Pair = { client, server };
		this.#pairs.add(pair);
		if (this.newcomers === "ignore") {
			client.resume();
			client.on("error", () => undefined);
			client.on("close", () => this.#pairs.delete(pair));
			return;
		}
		this.#pass(pair, "up", client, server);
		this.#pass(pair, "down", server, client);
		server.connect(this.#targetPort(), "127.0.0.1");
	}

	#pass(pair: Pair, direction: Direction, from: Socket, to: Socket): void {
		const lost = (): boolean => this.#swallowed.get(pair)?.has(direction) === true;
		from.setNoDelay(true);
		from.on("data", (chunk: Buffer) => {
			if (lost()) {
				return;
			}
			const full = (): void => {
				if (!to.write(chunk)) {
					from.pause();
					to.once("drain", () => from.resume());
				}
			};
			if (this.delayMs > 0) {
				void delay(this.delayMs).then(() => !to.destroyed && full());
			} else {
				full();
			}
		});
		from.on("error", () => undefined);
		from.on("end", () => {
			// Of a swallowed direction nothing arrives, not even the end.
			if (!lost()) {
				to.end();
			}
		});
		from.on("close", () => {
			if (!lost()) {
				to.destroy();
			}
			if (pair.client.destroyed && pair.server.destroyed) {
				this.#pairs.delete(pair);
			}
		});
	}
}
