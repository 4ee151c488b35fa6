import { expect, it } from "vitest";
import { connectAttempts } from "../../../src/shared/tls-attempts.ts";

const BASE = "postgresql://u:p%40ss@db.example:5433/app";

function tlsOf(url: string): boolean[] {
	return connectAttempts(url).map((attempt) => attempt.tls);
}

it.each([
	["", [true, false]],
	["?sslmode=prefer", [true, false]],
	["?sslmode=allow", [true, false]],
	["?sslmode=disable", [false]],
	["?sslmode=require", [true]],
	["?sslmode=no-verify", [true]],
	["?sslmode=verify-full", [true]],
	["?sslmode=verify-ca&sslrootcert=/ca.pem", [true]],
	["?sslrootcert=/ca.pem", [true]],
	["?ssl=true", [true]],
	["?ssl=0", [false]],
	["?host=/var/run/postgresql", [false]],
])("tries %s with TLS: %j", (parameters, expected) => {
	expect(tlsOf(BASE + parameters)).toEqual(expected);
});

it("keeps credentials, database and other parameters, and gives the plain attempt no TLS parameter", () => {
	const [first, second] = connectAttempts(`${BASE}?application_name=x&sslmode=prefer&sslcert=%2Fc.pem`);
	expect(first.connectionString).toBe(`${BASE}?application_name=x&sslmode=prefer&sslcert=%2Fc.pem&uselibpqcompat=true`);
	expect(second?.connectionString).toBe(`${BASE}?application_name=x`);
});

it("verifies name and chain when only a CA file is given", () => {
	expect(connectAttempts(`${BASE}?sslrootcert=ca.pem`)[0].connectionString).toContain("sslmode=verify-full");
});

it.each(["?sslmode=sometimes", "?sslmode=verify-ca", "?sslmode=disable&sslrootcert=ca.pem"])(
	"refuses %s without repeating the URL",
	(parameters) => {
		try {
			connectAttempts(BASE + parameters);
			expect.unreachable();
		} catch (error) {
			expect(error).toMatchObject({ code: "SLUICE_CONFIG_INVALID" });
			expect(JSON.stringify(error)).not.toContain("p%40ss");
		}
	},
);

it("uses a Unix socket without TLS", () => {
	expect(tlsOf("postgresql://u@%2Fvar%2Frun/app")).toEqual([false]);
});
