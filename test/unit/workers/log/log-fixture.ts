/**
 * Writes logs through the real store without a stream: transactions of numbered entries. Owns nothing beyond the
 * test that makes it. Called by the tests of log/.
 */

import { readFileSync } from "node:fs";
import {
	INDEX_RECORD_BYTES,
	logIndexPath,
	logSegmentPath,
	readIndexRecord,
} from "../../../../src/shared/log-layout.ts";
import { FileLogStore } from "../../../../src/workers/log/log-store.ts";
import type { ShapeLog } from "../../../../src/workers/log/shape-log.ts";

export function storeOf(chunkBytes = 1_000_000, openLogsMax = 16): FileLogStore {
	return new FileLogStore({ chunkBytes, lanes: 1, beforeWrite: () => undefined, openLogsMax });
}

/** Appends entries at ops 2, 4, … of a transaction; seals it unless it stays open. */
export function append(
	store: FileLogStore,
	log: ShapeLog,
	lsn: number,
	texts: readonly string[],
	options: { readonly firstOp?: number; readonly staysOpen?: boolean } = {},
): void {
	texts.forEach((text, index) => {
		const start = store.space.bytes.length;
		store.space.bytes.ascii(`{"key":"${text}","headers":{"lsn":"${lsn}"}}`);
		log.append(store.space, start, store.space.bytes.length - start, 0, lsn, (options.firstOp ?? 2) + 2 * index);
	});
	if (options.staysOpen !== true) {
		log.seal(store.space);
	}
}

/** Writes what was appended and makes it final. */
export function write(store: FileLogStore, log: ShapeLog): void {
	store.flush(log);
	store.commit(log);
	store.clearSpace();
}

/** `key@lsn_op`, with `!` for the last of a transaction, of everything in the files, which must agree. */
export function entriesOf(directory: string, segments: number): string[] {
	const found: string[] = [];
	for (let segment = 0; segment <= segments; segment += 1) {
		const data = readFileSync(logSegmentPath(directory, segment));
		const index = readFileSync(logIndexPath(directory, segment));
		const items = JSON.parse(`[${data}]`) as { key: string; headers: { lsn: string; last?: true } }[];
		for (let at = 0; at < index.length; at += INDEX_RECORD_BYTES) {
			const record = readIndexRecord(index, at);
			const item = items[at / INDEX_RECORD_BYTES];
			if (record === null || item === undefined) {
				throw new Error("index and data differ");
			}
			if ((record.flags === 1) !== (item.headers.last === true)) {
				throw new Error("a mark without its flag");
			}
			found.push(`${item.key}@${record.tx}_${record.op}${record.flags === 1 ? "!" : ""}`);
		}
	}
	return found;
}
