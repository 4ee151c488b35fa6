/**
 * Log sequence numbers: positions in PostgreSQL's write-ahead log. Owns the text form; must never round
 * (an LSN is 64 unsigned bits, so it is a bigint). Called by every room that touches a position.
 * Source: PostgreSQL `pg_lsn_in` / `pg_lsn_out`.
 */

import { SluiceError } from "./errors.ts";

/** An unsigned 64-bit WAL position. */
export type Lsn = bigint;

const TEXT_FORM = /^([0-9A-Fa-f]{1,8})\/([0-9A-Fa-f]{1,8})$/;

/**
 * Reads `X/X` (1 to 8 hexadecimal digits a side, either case; PostgreSQL 19 pads the low half).
 * @throws SluiceError `SLUICE_LSN_MALFORMED`
 */
export function parseLsn(text: string): Lsn {
	const match = TEXT_FORM.exec(text);
	if (match === null) {
		throw new SluiceError("SLUICE_LSN_MALFORMED", { text: text.slice(0, 40) });
	}
	return (BigInt(`0x${match[1]}`) << 32n) | BigInt(`0x${match[2]}`);
}

/** Writes `X/X`, upper case, unpadded. */
export function formatLsn(lsn: Lsn): string {
	const high = (lsn >> 32n).toString(16).toUpperCase();
	const low = (lsn & 0xffff_ffffn).toString(16).toUpperCase();
	return `${high}/${low}`;
}

export function maxLsn(left: Lsn, right: Lsn): Lsn {
	return left > right ? left : right;
}

export function minLsn(left: Lsn, right: Lsn): Lsn {
	return left < right ? left : right;
}
