/**
 * The network between Sluice and PostgreSQL: passes bytes on, swallows them, or resets what it carries. Owns its
 * sockets. Called by run.ts, disturbed by faults.ts.
 */

import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";

interface Pair {
	readonly near: Socket;
	readonly far: Socket;
}

export class TcpProxy {
	readonly #server: Server;
	readonly #targetPort: number;
	readonly #pairs = new Set<Pair>();
	#swallowing = false;

	private constructor(targetPort: number) {
		this.#targetPort = targetPort;
		this.#server = createServer((near) => this.#carry(near));
	}

	static async start(target: { readonly port: number }): Promise<TcpProxy> {
		const proxy = new TcpProxy(target.port);
		proxy.#server.listen(0, "127.0.0.1");
		await once(proxy.#server, "listening");
		return proxy;
	}

	get port(): number {
		return (this.#server.address() as AddressInfo).port;
	}

	/** From now on nothing comes through, and nobody is told: as when a cable is cut. */
	swallow(): void {
		this.#swallowing = true;
	}

	/** New connections work; the ones that lost bytes are reset, since their peers no longer agree. */
	restore(): void {
		this.#swallowing = false;
		this.reset();
	}

	/** Answers how many connections there were. */
	reset(): number {
		const count = this.#pairs.size;
		for (const { near, far } of this.#pairs) {
			near.resetAndDestroy();
			far.resetAndDestroy();
		}
		return count;
	}

	async close(): Promise<void> {
		this.reset();
		this.#server.close();
	}

	#carry(near: Socket): void {
		const far = connect(this.#targetPort, "127.0.0.1");
		const pair = { near, far };
		this.#pairs.add(pair);
		this.#pass(pair, near, far);
		this.#pass(pair, far, near);
	}

	#pass(pair: Pair, from: Socket, to: Socket): void {
		from.on("data", (chunk) => {
			if (!this.#swallowing && !to.write(chunk)) {
				from.pause();
			}
		});
		to.on("drain", () => from.resume());
		from.on("end", () => {
			if (!this.#swallowing) {
				to.end();
			}
		});
		from.on("error", () => undefined);
		from.on("close", () => {
			if (!this.#swallowing) {
				to.destroy();
			}
			if (pair.near.destroyed && pair.far.destroyed) {
				this.#pairs.delete(pair);
			}
		});
	}
}
