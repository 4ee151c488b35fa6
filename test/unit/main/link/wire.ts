/**
 * Server messages as bytes, for tests that play the server. Owns no connection. Called by the tests of the link.
 */

export function message(type: string, body: Uint8Array): Buffer {
	const frame = Buffer.alloc(5 + body.length);
	frame.write(type, 0, "latin1");
	frame.writeUInt32BE(4 + body.length, 1);
	frame.set(body, 5);
	return frame;
}

export function xlogData(payload: Uint8Array): Buffer {
	return message("d", Buffer.concat([Buffer.from("w"), Buffer.alloc(24), payload]));
}

export function keepalive(walEnd: bigint, replyRequested: boolean): Buffer {
	const body = Buffer.alloc(18);
	body.write("k", 0, "latin1");
	body.writeBigUInt64BE(walEnd, 1);
	body.writeUInt8(replyRequested ? 1 : 0, 17);
	return message("d", body);
}

/** ErrorResponse ("E") or NoticeResponse ("N"). Fields by their letter. */
export function report(type: "E" | "N", fields: Readonly<Record<string, string>>): Buffer {
	const parts = Object.entries(fields).map(([letter, value]) => `${letter}${value}\0`);
	return message(type, Buffer.from(`${parts.join("")}\0`));
}

export const COPY_BOTH = message("W", Buffer.from([0, 0, 0]));
export const COPY_DONE = message("c", Buffer.alloc(0));
export const COMMAND_COMPLETE = message("C", Buffer.from("COPY 0\0"));
export const READY = message("Z", Buffer.from("I"));

/** RowDescription, one DataRow, CommandComplete, ReadyForQuery; without row when `row` is null. */
export function resultSet(row: Readonly<Record<string, string | null>> | null): Buffer {
	if (row === null) {
		return Buffer.concat([message("C", Buffer.from("SET\0")), READY]);
	}
	const count = Buffer.alloc(2);
	count.writeUInt16BE(Object.keys(row).length);
	const fields = Object.keys(row).map((name) => {
		const tail = Buffer.alloc(18);
		tail.writeUInt32BE(25, 6);
		tail.writeInt16BE(-1, 10);
		tail.writeInt32BE(-1, 12);
		return Buffer.concat([Buffer.from(`${name}\0`), tail]);
	});
	const values = Object.values(row).map((value) => {
		const length = Buffer.alloc(4);
		length.writeInt32BE(value === null ? -1 : Buffer.byteLength(value));
		return Buffer.concat([length, Buffer.from(value ?? "")]);
	});
	return Buffer.concat([
		message("T", Buffer.concat([count, ...fields])),
		message("D", Buffer.concat([count, ...values])),
		message("C", Buffer.from("SELECT 1\0")),
		READY,
	]);
}
