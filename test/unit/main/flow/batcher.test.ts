/** The batcher: frames in, self-contained batches out. */

import { describe, expect, it } from "vitest";
import { Batcher } from "../../../../src/main/flow/batcher.ts";
import { Window, type WindowBatch } from "../../../../src/main/flow/window.ts";
import { BATCH_HEADER_BYTES, FRAME_LENGTH_BYTES, readBatchHeader } from "../../../../src/shared/batch-layout.ts";
import { BATCH_BYTES_MAX, SEGMENT_BYTES } from "../../../../src/shared/limits.ts";
import { begin, commit, insert, message, relation, truncate } from "../../../support/pgoutput-frames.ts";

const ITEMS = relation(1000, "public", "items", [{ name: "id", key: true }]);

function setUp(segments = 2) {
	const window = new Window(segments * SEGMENT_BYTES);
	const ends: bigint[] = [];
	const advanced: bigint[] = [];
	const probes: [content: string, sequence: number][] = [];
	const events = {
		transactionBegins: () => undefined,
		transactionEnds: (lsn: bigint) => ends.push(lsn),
		streamAdvanced: (lsn: bigint) => advanced.push(lsn),
		probe: (content: string, sequence: number) => probes.push([content, sequence]),
	};
	const batcher = new Batcher(window, events, "sluice:mine");
	batcher.beginEpoch(1);
	const batches: WindowBatch[] = [];
	const closed = (batch: WindowBatch): void => {
		batches.push(batch);
	};
	const append = (...frames: Buffer[]): boolean[] => frames.map((frame) => batcher.append(frame, closed));
	const close = (): void => batcher.close(closed);
	return { window, batcher, batches, ends, advanced, probes, append, close, closed };
}

function read(window: Window, batch: WindowBatch) {
	const memory = batch.dedicated ?? window.segments[batch.segment];
	if (memory === undefined) {
		throw new Error("no memory");
	}
	const view = new DataView(memory);
	const header = readBatchHeader(view, batch.byteOffset);
	const frames: Buffer[] = [];
	let position = batch.byteOffset + BATCH_HEADER_BYTES;
	const end = position + header.payloadBytes;
	while (position < end) {
		const length = view.getUint32(position, true);
		frames.push(Buffer.from(Buffer.from(memory, position + FRAME_LENGTH_BYTES, length)));
		position += FRAME_LENGTH_BYTES + length;
	}
	expect(frames).toHaveLength(header.frameCount);
	expect(position).toBe(batch.byteOffset + batch.byteLength);
	return { header, frames };
}

describe("Batcher", () => {
	it("keeps the frames of a transaction byte for byte, in order", () => {
		const { window, batches, append, close, ends } = setUp();
		const frames = [begin(100n, 7), ITEMS, insert(1000, ["1"]), commit(100n, 150n)];
		append(...frames);
		close();
		const [batch] = batches;
		const { header, frames: stored } = read(window, batch as WindowBatch);
		expect(stored).toEqual(frames);
		expect(header).toMatchObject({
			sequence: 1,
			streamEpoch: 1,
			startsInside: false,
			endsInside: false,
			lastCommitEndLsn: 150n,
			firstLsn: 100n,
		});
		expect(ends).toEqual([150n]);
	});

	it("repeats the relation in each batch that has a change of it, before the change", () => {
		const { window, batches, append, close } = setUp();
		append(begin(100n, 7), ITEMS, insert(1000, ["1"]));
		close();
		append(insert(1000, ["2"]), insert(1000, ["3"]), commit(100n, 150n));
		close();
		const second = read(window, batches[1] as WindowBatch);
		expect(second.frames).toEqual([ITEMS, insert(1000, ["2"]), insert(1000, ["3"]), commit(100n, 150n)]);
		expect(second.header).toMatchObject({ startsInside: true, openFinalLsn: 100n, openXid: 7, openChangeCount: 1 });
	});

	it("repeats the relation also when the change itself begins a new batch", () => {
		const { window, batches, append, close } = setUp();
		const large = "x".repeat(BATCH_BYTES_MAX / 2);
		append(begin(100n, 7), ITEMS, insert(1000, [large]), insert(1000, [large]));
		close();
		expect(batches).toHaveLength(2);
		expect(read(window, batches[1] as WindowBatch).frames[0]).toEqual(ITEMS);
	});

	it("counts the changes of a transaction over batches, a Truncate once for each relation", () => {
		const { window, batches, append, close } = setUp();
		append(begin(100n, 7), ITEMS, insert(1000, ["1"]), truncate([1000, 1001, 1002]));
		close();
		append(insert(1000, ["2"]));
		close();
		expect(read(window, batches[1] as WindowBatch).header.openChangeCount).toBe(4);
	});

	it("puts a frame larger than a segment into memory of its own", () => {
		const { window, batches, append, close } = setUp();
		const huge = insert(1000, ["x".repeat(SEGMENT_BYTES + 10)]);
		append(begin(100n, 7), ITEMS, huge, commit(100n, 150n));
		close();
		const frames = batches.flatMap((batch) => read(window, batch).frames);
		expect(frames.filter((frame) => frame[0] !== 0x52)).toEqual([begin(100n, 7), huge, commit(100n, 150n)]);
		expect(batches.some((batch) => batch.dedicated !== null)).toBe(true);
	});

	it("takes nothing when the window has no room, and everything again once a batch is released", () => {
		const { window, batcher, batches, append, closed } = setUp(2);
		append(begin(100n, 7), ITEMS);
		const frame = insert(1000, ["x".repeat(BATCH_BYTES_MAX / 2)]);
		let taken = 0;
		while (batcher.append(frame, closed)) {
			taken += 1;
			expect(taken).toBeLessThan(100);
		}
		expect(window.bytes).toBeGreaterThan(SEGMENT_BYTES);
		expect(batcher.append(frame, closed)).toBe(false);
		const half = batches.filter((batch) => batch.segment === batches[0]?.segment);
		window.release(half.at(-1)?.sequence ?? 0);
		expect(batcher.append(frame, closed)).toBe(true);
		const numbers = batches.map((batch) => batch.sequence);
		expect(numbers).toEqual(numbers.map((_, index) => index + 1));
	});

	it("forgets the open transaction and the relations at a new connection", () => {
		const { window, batcher, batches, append, close } = setUp();
		append(begin(100n, 7), ITEMS, insert(1000, ["1"]));
		close();
		batcher.beginEpoch(2);
		append(begin(100n, 7), ITEMS, insert(1000, ["1"]), commit(100n, 150n));
		close();
		expect(read(window, batches[1] as WindowBatch).header).toMatchObject({
			streamEpoch: 2,
			startsInside: false,
			openChangeCount: 0,
		});
	});

	it.each([
		["an unknown tag", Buffer.from("?abcdef")],
		["a change outside a transaction", insert(1000, ["1"])],
		["a Commit outside a transaction", commit(1n, 2n)],
		["a short Begin", Buffer.from("B123")],
		["a Truncate whose length does not match its count", Buffer.concat([truncate([1, 2]), Buffer.from([0])])],
		["an empty message", Buffer.alloc(0)],
	])("refuses %s as malformed", (_name, frame) => {
		const { batcher, closed } = setUp();
		expect(() => batcher.append(frame, closed)).toThrow(expect.objectContaining({ code: "SLUICE_FRAME_MALFORMED" }));
	});

	it("passes over origins, types and logical messages", () => {
		const { batcher, append, advanced, probes } = setUp();
		const others = message("sluice:mine2", "x", 70n);
		expect(append(Buffer.from("O123"), Buffer.from("Yabc"), others)).toEqual([true, true, true]);
		expect(batcher.openBytes).toBe(0);
		expect(probes).toEqual([]);
		// F51: between transactions it says how far the server has decoded.
		expect(advanced).toEqual([70n]);
	});

	it("sends its own probe on to the lanes, and names the batch that carries it", () => {
		const { window, batches, append, close, advanced, probes } = setUp();
		const probe = message("sluice:mine", "life:1", 80n);
		append(probe);
		close();
		expect(probes).toEqual([["life:1", 1]]);
		expect(advanced).toEqual([80n]);
		const { header, frames } = read(window, batches[0] as WindowBatch);
		expect(frames).toEqual([probe]);
		expect(header).toMatchObject({ lastCommitEndLsn: 0n, firstLsn: 0n, startsInside: false, endsInside: false });
	});

	it("counts no message inside a transaction, nor one of a transaction, as progress, and takes none that is cut", () => {
		const { append, advanced, probes } = setUp();
		append(begin(100n, 7), message("sluice:mine", "life:2", 90n, true), message("sluice:mine", "life:3", 91n));
		append(commit(100n, 150n), message("other", "", 160n, true));
		expect([advanced, probes]).toEqual([[], []]);
		expect(() => append(message("sluice:mine", "", 170n).subarray(0, 14))).toThrow("no valid message");
	});
});
