/**
 * A self-signed certificate for a test server, built by hand because Node can sign but not issue. Owns just
 * enough DER for that. Called by link-server.pg.test.ts.
 * Source: RFC 5280 section 4.1 (Certificate), ITU-T X.690 (DER).
 */

import { generateKeyPairSync, sign } from "node:crypto";

const SEQUENCE = 0x30;
const SET = 0x31;
const INTEGER = 0x02;
const BIT_STRING = 0x03;
const OCTET_STRING = 0x04;
const UTC_TIME = 0x17;
const UTF8_STRING = 0x0c;

const ECDSA_WITH_SHA256 = Buffer.from("06082a8648ce3d040302", "hex");
const COMMON_NAME = Buffer.from("0603550403", "hex");
const SUBJECT_ALT_NAME = Buffer.from("0603551d11", "hex");

function der(tag: number, ...parts: readonly Uint8Array[]): Buffer {
	const body = Buffer.concat(parts);
	const length = body.length < 0x80 ? [body.length] : [0x82, body.length >> 8, body.length & 0xff];
	return Buffer.concat([Buffer.from([tag, ...length]), body]);
}

function utcTime(date: Date): Buffer {
	const digits = date.toISOString().replace(/\D/g, "");
	return der(UTC_TIME, Buffer.from(`${digits.slice(2, 14)}Z`));
}

/** PEM texts, for this IPv4 address, valid for a day around now or from and to these days from now. */
export function selfSigned(
	address: string,
	[from, to]: readonly [number, number] = [-1, 1],
): { readonly certificate: string; readonly key: string } {
	const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "prime256v1" });
	const name = der(SEQUENCE, der(SET, der(SEQUENCE, COMMON_NAME, der(UTF8_STRING, Buffer.from("sluice test")))));
	const dayMs = 86_400_000;
	const validity = der(
		SEQUENCE,
		utcTime(new Date(Date.now() + from * dayMs)),
		utcTime(new Date(Date.now() + to * dayMs)),
	);
	const address4 = der(0x87, Buffer.from(address.split(".").map(Number)));
	const alternatives = der(SEQUENCE, SUBJECT_ALT_NAME, der(OCTET_STRING, der(SEQUENCE, address4)));
	const body = der(
		SEQUENCE,
		der(0xa0, der(INTEGER, Buffer.from([2]))),
		der(INTEGER, Buffer.from([1])),
		der(SEQUENCE, ECDSA_WITH_SHA256),
		name,
		validity,
		name,
		publicKey.export({ type: "spki", format: "der" }),
		der(0xa3, der(SEQUENCE, alternatives)),
	);
	const signature = der(BIT_STRING, Buffer.from([0]), sign("sha256", body, privateKey));
	const certificate = der(SEQUENCE, body, der(SEQUENCE, ECDSA_WITH_SHA256), signature);
	return {
		certificate: `-----BEGIN CERTIFICATE-----\n${certificate.toString("base64")}\n-----END CERTIFICATE-----\n`.replace(
			/.{64}(?=.)/g,
			(line) => (line.includes("-") ? line : `${line}\n`),
		),
		key: privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
	};
}
