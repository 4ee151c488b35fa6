/**
 * The one error of this room: bytes of a stream message that are not what the protocol says. Owns its facts
 * (tag and offset); must never carry a value of a row. Called by every reader in decode/.
 */

import { SluiceError } from "../../shared/errors.ts";

/**
 * @param tag the message's first byte
 * @param offsetBytes where in the message the reader stood
 */
export function malformed(tag: number, offsetBytes: number, problem: string): SluiceError {
	return new SluiceError("SLUICE_TUPLE_MALFORMED", {
		tag: tag >= 0x20 && tag < 0x7f ? String.fromCharCode(tag) : `0x${tag.toString(16).padStart(2, "0")}`,
		offsetBytes,
		problem,
	});
}
