/**
 * Under which user the embedded server runs: the whole decision table.
 */

import { describe, expect, it } from "vitest";
import { decideLaunch, mayEnter, type Surroundings } from "../../../../src/main/local-postgres/server-user.ts";

const user = { uid: 65534, gid: 65534 };
const asRoot: Surroundings = { ownUid: 0, user, setpriv: "/usr/bin/setpriv", reachable: true, dieWithParent: false };

describe("the server's user", () => {
	it("is ourselves when we are not root", () => {
		expect(decideLaunch({ ...asRoot, ownUid: 1000, user: null })).toEqual({
			prefix: [],
			credentials: null,
			owner: null,
			readsEverything: false,
		});
	});

	it("is unprivileged, without any capability, when we are root", () => {
		const launch = decideLaunch(asRoot);
		expect(launch.prefix).toEqual(["/usr/bin/setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"]);
		expect(launch).toMatchObject({ owner: user, readsEverything: false });
	});

	it("may read everything only where directories of root are in the way, and then trusts nobody", () => {
		const launch = decideLaunch({ ...asRoot, reachable: false });
		expect(launch.prefix).toEqual(
			expect.arrayContaining(["--ambient-caps=+dac_read_search", "--securebits=+no_setuid_fixup"]),
		);
		expect(launch.readsEverything).toBe(true);
	});

	it("is set by spawn itself without setpriv", () => {
		expect(decideLaunch({ ...asRoot, setpriv: null })).toMatchObject({ prefix: [], credentials: user, owner: user });
	});

	it("ends with us when asked, with or without root", () => {
		for (const ownUid of [0, 1000]) {
			expect(decideLaunch({ ...asRoot, ownUid, dieWithParent: true }).prefix.join(" ")).toMatch(/--pdeathsig QUIT --$/);
		}
	});

	it("cannot be had when nothing leads to the directories, or no user exists", () => {
		for (const change of [{ setpriv: null, reachable: false }, { user: null }]) {
			expect(() => decideLaunch({ ...asRoot, ...change })).toThrow(
				expect.objectContaining({ code: "SLUICE_LOCAL_POSTGRES_FAILED" }),
			);
		}
	});
});

describe("entering a directory", () => {
	it.each([
		[{ mode: 0o40700, uid: 0, gid: 0 }, false],
		[{ mode: 0o40711, uid: 0, gid: 0 }, true],
		[{ mode: 0o40750, uid: 0, gid: 65534 }, true],
		[{ mode: 0o40700, uid: 65534, gid: 0 }, true],
		[{ mode: 0o40677, uid: 65534, gid: 0 }, false],
		[{ mode: 0o40701, uid: 0, gid: 65534 }, false],
	])("follows the bit that applies: %j is %j", (facts, allowed) => {
		expect(mayEnter(facts, user)).toBe(allowed);
	});
});
