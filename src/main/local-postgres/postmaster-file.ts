/**
 * `postmaster.pid`: how a running server tells the world who and where it is. Owns reading it and the question
 * whether that server is alive; must never write or remove a file that a living server may own. Called by
 * local-postgres.ts. Source of the format: PostgreSQL `src/include/utils/pidfile.h`.
 */

import { readFile } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";

const LINE_PID = 0;
const LINE_PORT = 3;
const LINE_STATUS = 7;

const PROBE_TIMEOUT_MS = 2_000;

export interface PostmasterFacts {
	readonly pid: number;
	readonly port: number | null;
	/** It accepts connections (PM_STATUS_READY). */
	readonly ready: boolean;
}

/** Null when the text holds no pid. */
function parsePostmasterFile(text: string): PostmasterFacts | null {
	const lines = text.split("\n").map((line) => line.trim());
	const pid = Number(lines[LINE_PID]);
	const port = Number(lines[LINE_PORT]);
	if (!Number.isInteger(pid) || pid <= 0) {
		return null;
	}
	return {
		pid,
		port: Number.isInteger(port) && port > 0 ? port : null,
		ready: lines[LINE_STATUS] === "ready",
	};
}

/** Null when there is no such file. */
export async function readPostmasterFile(dataDirectory: string): Promise<PostmasterFacts | null> {
	try {
		return parsePostmasterFile(await readFile(join(dataDirectory, "postmaster.pid"), "utf8"));
	} catch {
		return null;
	}
}

/**
 * "other": the pid lives and belongs to another program, so the file is left over (pids are used again after
 * a reboot). Only Linux tells; elsewhere a living pid counts as PostgreSQL.
 */
export async function livenessOf(pid: number): Promise<"alive" | "dead" | "other"> {
	try {
		process.kill(pid, 0);
	} catch (error) {
		if (!(error instanceof Error && "code" in error && error.code === "EPERM")) {
			return "dead";
		}
	}
	if (process.platform !== "linux") {
		return "alive";
	}
	try {
		const state = await readFile(`/proc/${pid}/stat`, "utf8");
		const name = state.slice(state.indexOf("(") + 1, state.lastIndexOf(")"));
		const status = state.slice(state.lastIndexOf(")") + 2, state.lastIndexOf(")") + 3);
		// A zombie has ended; its parent has only not looked yet.
		if (status === "Z") {
			return "dead";
		}
		return name.startsWith("postgres") ? "alive" : "other";
	} catch {
		return "dead";
	}
}

/** SSLRequest: PostgreSQL manual, "Message Formats". Any server answers one byte, S or N, before authentication. */
const SSL_REQUEST = Buffer.from([0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f]);

/** Whether something that speaks PostgreSQL answers on a loopback port. */
export function answersAsPostgres(port: number): Promise<boolean> {
	return new Promise((resolve) => {
		const socket = connect({ host: "127.0.0.1", port });
		const finish = (answer: boolean): void => {
			socket.destroy();
			resolve(answer);
		};
		socket.setTimeout(PROBE_TIMEOUT_MS, () => finish(false));
		socket.once("connect", () => socket.write(SSL_REQUEST));
		socket.once("data", (bytes) => finish(bytes[0] === 0x53 || bytes[0] === 0x4e));
		socket.once("error", () => finish(false));
		socket.once("close", () => finish(false));
	});
}
