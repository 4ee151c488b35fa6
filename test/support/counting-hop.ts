/**
 * A hop in front of a server that notes every request at the moment it arrives: tells what a cache let through.
 * Owns its socket. Must change nothing in what passes. Called by test/clients.
 */

import { once } from "node:events";
import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export class CountingHop {
	/** Request targets, oldest first. */
	readonly targets: string[] = [];
	readonly #server: Server;

	private constructor(server: Server) {
		this.#server = server;
	}

	/** @param upstream for example `http://127.0.0.1:3000` */
	static async start(upstream: string): Promise<CountingHop> {
		const server = createServer();
		const hop = new CountingHop(server);
		server.on("request", (incoming, outgoing) => hop.#pass(upstream, incoming, outgoing));
		server.listen(0, "127.0.0.1");
		await once(server, "listening");
		return hop;
	}

	get port(): number {
		return (this.#server.address() as AddressInfo).port;
	}

	/** How often each target that `matches` came. */
	counts(matches: (url: URL) => boolean): Map<string, number> {
		const counts = new Map<string, number>();
		for (const target of this.targets) {
			if (matches(new URL(target, "http://hop"))) {
				counts.set(target, (counts.get(target) ?? 0) + 1);
			}
		}
		return counts;
	}

	async stop(): Promise<void> {
		this.#server.close();
		this.#server.closeAllConnections();
		await once(this.#server, "close");
	}

	#pass(upstream: string, incoming: IncomingMessage, outgoing: ServerResponse): void {
		this.targets.push(incoming.url ?? "");
		const onward = request(
			new URL(incoming.url ?? "/", upstream),
			{ method: incoming.method, headers: incoming.headers, agent: false },
			(answer) => {
				outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
				outgoing.flushHeaders();
				answer.pipe(outgoing);
				answer.on("error", () => outgoing.destroy());
			},
		);
		onward.on("error", () => outgoing.destroy());
		outgoing.on("close", () => onward.destroy());
		incoming.pipe(onward);
	}
}
