import { expect, it } from "vitest";
import { encodeStatusUpdate, STATUS_UPDATE_BYTES } from "../../../../src/main/link/status-update.ts";

const EPOCH_MS = Date.UTC(2000, 0, 1);

it("encodes the golden vector", () => {
	const frame = encodeStatusUpdate({
		write: 0xbbe6098n,
		flush: 0xbbe6098n,
		clientTimeMs: EPOCH_MS,
		replyRequested: false,
	});
	expect(frame.toString("hex")).toBe("640000002672000000000bbe6098000000000bbe6098000000000bbe6098000000000000000000");
	expect(frame.length).toBe(STATUS_UPDATE_BYTES);
});

it("sends write, flush, flush as apply, microseconds since 2000, and the request for a reply", () => {
	const frame = encodeStatusUpdate({ write: 2n, flush: 1n, clientTimeMs: EPOCH_MS + 1500.7, replyRequested: true });
	expect(frame.readBigUInt64BE(6)).toBe(2n);
	expect(frame.readBigUInt64BE(14)).toBe(1n);
	expect(frame.readBigUInt64BE(22)).toBe(1n);
	expect(frame.readBigInt64BE(30)).toBe(1_500_000n);
	expect(frame.readUInt8(38)).toBe(1);
});

it("keeps the highest position exact and takes a clock before 2000", () => {
	const highest = 0xffff_ffff_ffff_ffffn;
	const frame = encodeStatusUpdate({ write: highest, flush: 0n, clientTimeMs: 0, replyRequested: false });
	expect(frame.readBigUInt64BE(6)).toBe(highest);
	expect(frame.readBigInt64BE(30)).toBe(BigInt(-EPOCH_MS) * 1000n);
});
