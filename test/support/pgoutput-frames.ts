/**
 * Builds pgoutput messages (protocol version 1) for tests: the bytes as PostgreSQL's manual draws them
 * ("Logical Replication Message Formats"). Called by unit tests and micro measurements.
 */

export interface FrameColumn {
	readonly name: string;
	readonly typeOid?: number;
	readonly key?: boolean;
}

/** null: NULL. undefined: unchanged TOAST. */
export type FrameValue = string | null | undefined;

function int16(value: number): Buffer {
	const buffer = Buffer.alloc(2);
	buffer.writeInt16BE(value);
	return buffer;
}

function int32(value: number): Buffer {
	const buffer = Buffer.alloc(4);
	buffer.writeUInt32BE(value >>> 0);
	return buffer;
}

function int64(value: bigint): Buffer {
	const buffer = Buffer.alloc(8);
	buffer.writeBigUInt64BE(value);
	return buffer;
}

function text(value: string): Buffer {
	return Buffer.from(`${value}\0`, "utf8");
}

export function begin(finalLsn: bigint, xid: number, commitTime = 0n): Buffer {
	return Buffer.concat([Buffer.from("B"), int64(finalLsn), int64(commitTime), int32(xid)]);
}

export function commit(commitLsn: bigint, endLsn: bigint, commitTime = 0n): Buffer {
	return Buffer.concat([Buffer.from("C"), Buffer.from([0]), int64(commitLsn), int64(endLsn), int64(commitTime)]);
}

export function relation(
	oid: number,
	schema: string,
	name: string,
	columns: readonly FrameColumn[],
	replicaIdentity = "f",
): Buffer {
	return Buffer.concat([
		Buffer.from("R"),
		int32(oid),
		text(schema),
		text(name),
		Buffer.from(replicaIdentity),
		int16(columns.length),
		...columns.flatMap((column) => [
			Buffer.from([column.key === true ? 1 : 0]),
			text(column.name),
			int32(column.typeOid ?? 25),
			int32(0xffffffff),
		]),
	]);
}

export function tuple(values: readonly FrameValue[]): Buffer {
	return Buffer.concat([
		int16(values.length),
		...values.flatMap((value) => {
			if (value === null) {
				return [Buffer.from("n")];
			}
			if (value === undefined) {
				return [Buffer.from("u")];
			}
			const bytes = Buffer.from(value, "utf8");
			return [Buffer.from("t"), int32(bytes.length), bytes];
		}),
	]);
}

export function insert(oid: number, values: readonly FrameValue[]): Buffer {
	return Buffer.concat([Buffer.from("I"), int32(oid), Buffer.from("N"), tuple(values)]);
}

export function update(oid: number, oldValues: readonly FrameValue[] | null, newValues: readonly FrameValue[]): Buffer {
	const old = oldValues === null ? [] : [Buffer.from("O"), tuple(oldValues)];
	return Buffer.concat([Buffer.from("U"), int32(oid), ...old, Buffer.from("N"), tuple(newValues)]);
}

export function remove(oid: number, oldValues: readonly FrameValue[]): Buffer {
	return Buffer.concat([Buffer.from("D"), int32(oid), Buffer.from("O"), tuple(oldValues)]);
}

export function truncate(oids: readonly number[]): Buffer {
	return Buffer.concat([Buffer.from("T"), int32(oids.length), Buffer.from([0]), ...oids.map(int32)]);
}

/** Byte1('M'), flags, LSN, prefix, length, content. */
export function message(prefix: string, content: string, lsn: bigint, transactional = false): Buffer {
	const header = Buffer.alloc(10);
	header.write("M", 0, "latin1");
	header.writeUInt8(transactional ? 1 : 0, 1);
	header.writeBigUInt64BE(lsn, 2);
	const length = Buffer.alloc(4);
	length.writeUInt32BE(content.length);
	return Buffer.concat([header, Buffer.from(`${prefix}\0`), length, Buffer.from(content)]);
}
