/**
 * As which user, and through which command, a PostgreSQL program runs. PostgreSQL refuses to run as root, and
 * a checkout below a directory that only root may enter (0700) is out of reach for anybody else. Owns that
 * decision (pure) and the look at the machine that it needs. Called by local-postgres.ts.
 */

import { access, constants, readFile, stat } from "node:fs/promises";
import { delimiter, dirname, join, resolve } from "node:path";
import { SluiceError } from "../../shared/errors.ts";

export interface ServerUser {
	readonly uid: number;
	readonly gid: number;
}

/** What the decision depends on. */
export interface Surroundings {
	/** Our own effective uid; null where there is none (Windows). */
	readonly ownUid: number | null;
	/** An unprivileged user of this machine. Only looked up when we are root. */
	readonly user: ServerUser | null;
	/** Path of util-linux's `setpriv`, or null. */
	readonly setpriv: string | null;
	/** Whether `user` can reach the binaries and the data directory without help. */
	readonly reachable: boolean;
	/** The server shall end when we do. Best effort: only `setpriv` can ask the kernel for it. */
	readonly dieWithParent: boolean;
}

export interface Launch {
	/** What goes before the program: empty, or `setpriv` and its options. */
	readonly prefix: readonly string[];
	/** Options for spawn, when it changes the user itself. */
	readonly credentials: ServerUser | null;
	/** Who must own the data directory; null: we do. */
	readonly owner: ServerUser | null;
	/** The server may read every file of this machine: it must not trust whoever connects. */
	readonly readsEverything: boolean;
}

/**
 * The right to enter and read what root alone may, and nothing else. PostgreSQL looks at its own binary with
 * access(2), which leaves capabilities out of account for whoever is not root, unless `no_setuid_fixup` is set.
 */
const REACH_EVERYTHING: readonly string[] = [
	"--inh-caps=+dac_read_search",
	"--ambient-caps=+dac_read_search",
	"--securebits=+no_setuid_fixup",
];

/** The decision. @throws SluiceError `SLUICE_LOCAL_POSTGRES_FAILED` when there is no way to run it */
export function decideLaunch(surroundings: Surroundings): Launch {
	const { setpriv, user } = surroundings;
	const deathSignal = surroundings.dieWithParent ? ["--pdeathsig", "QUIT"] : [];
	if (surroundings.ownUid !== 0) {
		const prefix = setpriv !== null && deathSignal.length > 0 ? [setpriv, ...deathSignal, "--"] : [];
		return { prefix, credentials: null, owner: null, readsEverything: false };
	}
	if (user === null) {
		throw new SluiceError("SLUICE_LOCAL_POSTGRES_FAILED", {
			reason: "PostgreSQL does not run as root, and this machine has neither a user `postgres` nor `nobody`",
		});
	}
	if (setpriv !== null) {
		const capabilities = surroundings.reachable ? [] : REACH_EVERYTHING;
		const identity = [`--reuid=${user.uid}`, `--regid=${user.gid}`, "--clear-groups"];
		return {
			prefix: [setpriv, ...identity, ...capabilities, ...deathSignal, "--"],
			credentials: null,
			owner: user,
			readsEverything: !surroundings.reachable,
		};
	}
	if (!surroundings.reachable) {
		throw new SluiceError("SLUICE_LOCAL_POSTGRES_FAILED", {
			reason:
				"PostgreSQL does not run as root, and other users cannot reach these directories: move the checkout, or install util-linux's setpriv",
		});
	}
	return { prefix: [], credentials: user, owner: user, readsEverything: false };
}

/** Looks at the machine and decides. The data directory need not exist yet, its parent must. */
export async function launchFor(
	binariesDirectory: string,
	dataDirectory: string,
	dieWithParent: boolean,
): Promise<Launch> {
	const ownUid = process.geteuid?.() ?? null;
	const user = ownUid === 0 ? ((await ownerOf(dataDirectory)) ?? (await unprivilegedUser())) : null;
	const reachable = user === null || (await everyDirectoryOpen([binariesDirectory, dirname(dataDirectory)], user));
	const setpriv = await findUtilLinuxSetpriv();
	return decideLaunch({ ownUid, user, setpriv, reachable, dieWithParent });
}

/** Who made the cluster, unless root did: an ordinary user's cluster stays theirs when root starts it. */
async function ownerOf(dataDirectory: string): Promise<ServerUser | null> {
	const facts = await stat(join(dataDirectory, "PG_VERSION")).catch(() => null);
	return facts === null || facts.uid === 0 ? null : { uid: facts.uid, gid: facts.gid };
}

/** `postgres` where a distribution made it, else `nobody`: initdb wants a user that has a name. */
async function unprivilegedUser(): Promise<ServerUser | null> {
	const lines = (await readFile("/etc/passwd", "utf8")).split("\n").map((line) => line.split(":"));
	for (const name of ["postgres", "nobody"]) {
		const entry = lines.find((fields) => fields[0] === name);
		const uid = Number(entry?.[2]);
		const gid = Number(entry?.[3]);
		if (Number.isInteger(uid) && Number.isInteger(gid) && uid !== 0) {
			return { uid, gid };
		}
	}
	return null;
}

/** Busybox has a `setpriv` too, without these options: only the real one is taken. */
async function findUtilLinuxSetpriv(): Promise<string | null> {
	if (process.platform !== "linux") {
		return null;
	}
	for (const directory of (process.env["PATH"] ?? "").split(delimiter).concat("/usr/bin", "/bin")) {
		const path = join(directory, "setpriv");
		try {
			await access(path, constants.X_OK);
			const program = await readFile(path);
			return program.includes("ambient-caps") && program.includes("pdeathsig") ? path : null;
		} catch {
			// Not here.
		}
	}
	return null;
}

/** Whether `user` may enter every directory from the root down to each path that exists. */
async function everyDirectoryOpen(paths: readonly string[], user: ServerUser): Promise<boolean> {
	for (const path of paths) {
		for (let directory = resolve(path); ; directory = dirname(directory)) {
			const facts = await stat(directory).catch(() => null);
			if (facts !== null && !mayEnter(facts, user)) {
				return false;
			}
			if (directory === dirname(directory)) {
				break;
			}
		}
	}
	return true;
}

/** The execute bit that applies to `user`: as the kernel picks it, without groups beyond the first and ACLs. */
export function mayEnter(
	facts: { readonly mode: number; readonly uid: number; readonly gid: number },
	user: ServerUser,
): boolean {
	if (facts.uid === user.uid) {
		return (facts.mode & 0o100) !== 0;
	}
	if (facts.gid === user.gid) {
		return (facts.mode & 0o010) !== 0;
	}
	return (facts.mode & 0o001) !== 0;
}
