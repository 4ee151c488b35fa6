import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { FrameReader } from "../../../../src/main/link/framing.ts";
import { FRAME_BYTES_MAX } from "../../../../src/shared/limits.ts";
import { everySplit, feedReused } from "../../../support/every-split.ts";
import { COMMAND_COMPLETE, COPY_BOTH, COPY_DONE, keepalive, message, READY, report, xlogData } from "./wire.ts";

const BEGIN = Buffer.from("42000000000bbe6068000303ee420e618100000354", "hex");
const INSERT = Buffer.from("49000059364e0002740000000131740000000178", "hex");
const COMMIT = Buffer.from("4300000000000bbe6068000000000bbe6098000303ee420e6181", "hex");

function reader() {
	const seen: string[] = [];
	const frames = new FrameReader({
		xlogData: (bytes) => seen.push(bytes.toString("hex")),
		oversizeChange: (relationOid, declaredBytes) => seen.push(`oversize ${relationOid} ${declaredBytes}`),
		keepalive: (walEnd, replyRequested) => seen.push(`k ${walEnd} ${replyRequested}`),
		copyBothStarted: () => seen.push("W"),
		serverError: (error) => seen.push(`E ${error.code} ${error.message}`),
		serverNotice: (notice) => seen.push(`N ${notice.code} ${notice.routine}`),
		streamEnded: (name) => seen.push(name),
	});
	return { seen, frames };
}

describe("a well-formed stream", () => {
	const stream = Buffer.concat([
		COPY_BOTH,
		xlogData(BEGIN),
		xlogData(INSERT),
		keepalive(0xffff_ffff_0000_0001n, true),
		xlogData(COMMIT),
		report("N", { S: "WARNING", C: "55000", M: "skipped", R: "LoadPublications" }),
		message("S", Buffer.from("TimeZone\0UTC\0")),
		report("E", { S: "ERROR", C: "42704", M: 'publication "p" does not exist' }),
		COPY_DONE,
		COMMAND_COMPLETE,
		READY,
	]);
	const expected = [
		"W",
		BEGIN.toString("hex"),
		INSERT.toString("hex"),
		`k ${0xffff_ffff_0000_0001n} true`,
		COMMIT.toString("hex"),
		"N 55000 LoadPublications",
		'E 42704 publication "p" does not exist',
		"copyDone",
		"commandComplete",
		"readyForQuery",
	];

	it("gives the same messages at every split, from a buffer that is reused", () => {
		for (const { name, chunks } of everySplit(Uint8Array.from(stream))) {
			const { seen, frames } = reader();
			feedReused(chunks, (chunk) => expect(frames.feed(chunk), name).toBeNull());
			expect(seen, name).toEqual(expected);
			expect(frames.pendingBytes, name).toBe(0);
		}
	});

	it("gives a message much larger than a read whole, and the ones behind it", () => {
		const large = Buffer.alloc(3_000_000, 0x5a);
		large[0] = 0x49;
		const bytes = Buffer.concat([xlogData(BEGIN), xlogData(large), xlogData(COMMIT), xlogData(large)]);
		const chunks = Array.from({ length: Math.ceil(bytes.length / 65_537) }, (_, at) =>
			Buffer.from(bytes.subarray(at * 65_537, (at + 1) * 65_537)),
		);
		const { seen, frames } = reader();
		feedReused(chunks, (chunk) => expect(frames.feed(chunk)).toBeNull());
		expect(seen.map((hex) => hex.length / 2)).toEqual([BEGIN.length, large.length, COMMIT.length, large.length]);
		expect(seen[1] === large.toString("hex") && seen[3] === large.toString("hex")).toBe(true);
	});

	it("tells of a row change beyond the limit by its relation, drops its bytes, and goes on behind them", () => {
		const head = xlogData(Buffer.from("49000000074e0001", "hex"));
		const declared = FRAME_BYTES_MAX + 1000;
		head.writeUInt32BE(declared, 1);
		const rest = Buffer.alloc(1 + declared - head.length);
		const { seen, frames } = reader();
		for (const chunk of [Buffer.concat([xlogData(BEGIN), head]), rest, xlogData(COMMIT)]) {
			expect(frames.feed(chunk)).toBeNull();
		}
		expect(seen).toEqual([BEGIN.toString("hex"), `oversize 7 ${declared}`, COMMIT.toString("hex")]);
		expect(frames.pendingBytes).toBe(0);
	});

	it("reads the head of a row change beyond the limit at every split", () => {
		const head = xlogData(Buffer.from("55000000094e0001", "hex"));
		head.writeUInt32BE(FRAME_BYTES_MAX + 1, 1);
		for (const { name, chunks } of everySplit(Buffer.concat([xlogData(BEGIN), head]))) {
			const { seen, frames } = reader();
			feedReused(chunks, (chunk) => expect(frames.feed(chunk)).toBeNull());
			expect(seen, name).toEqual([BEGIN.toString("hex"), `oversize 9 ${FRAME_BYTES_MAX + 1}`]);
		}
	});

	it("holds a cut message back and says how much of it there is", () => {
		const { seen, frames } = reader();
		expect(frames.feed(xlogData(INSERT).subarray(0, 20))).toBeNull();
		expect(seen).toEqual([]);
		expect(frames.pendingBytes).toBe(20);
	});
});

describe("bytes that are no stream", () => {
	const header = (type: number, length: number) => {
		const bytes = Buffer.alloc(64);
		bytes.writeUInt8(type, 0);
		bytes.writeUInt32BE(length, 1);
		return bytes;
	};
	const cases: readonly [name: string, bytes: Buffer, code: string][] = [
		["an unknown type", message("!", Buffer.alloc(20)), "SLUICE_FRAME_MALFORMED"],
		["a type that belongs to another part of the protocol", message("R", Buffer.alloc(4)), "SLUICE_FRAME_MALFORMED"],
		["a length below four", header(0x64, 3), "SLUICE_FRAME_MALFORMED"],
		["a CopyData without content", header(0x64, 4), "SLUICE_FRAME_MALFORMED"],
		["a length that no server sends", header(0x64, 0xffff_ffff), "SLUICE_FRAME_MALFORMED"],
		["a length beyond our limit, of no row", header(0x64, FRAME_BYTES_MAX + 1), "SLUICE_FRAME_TOO_LARGE"],
		["CopyData of an unknown kind", message("d", Buffer.from("x")), "SLUICE_FRAME_MALFORMED"],
		[
			"XLogData cut in its header",
			message("d", Buffer.concat([Buffer.from("w"), Buffer.alloc(10)])),
			"SLUICE_FRAME_MALFORMED",
		],
		[
			"XLogData without a message",
			message("d", Buffer.concat([Buffer.from("w"), Buffer.alloc(24)])),
			"SLUICE_FRAME_MALFORMED",
		],
		["a short keepalive", message("d", Buffer.concat([Buffer.from("k"), Buffer.alloc(16)])), "SLUICE_FRAME_MALFORMED"],
		["a long keepalive", message("d", Buffer.concat([Buffer.from("k"), Buffer.alloc(18)])), "SLUICE_FRAME_MALFORMED"],
		["an error report without its end", message("E", Buffer.from("SERROR\0C55000\0")), "SLUICE_FRAME_MALFORMED"],
		["an error report without any NUL", message("E", Buffer.from("SERROR")), "SLUICE_FRAME_MALFORMED"],
		["a notice with bytes behind its end", message("N", Buffer.from("SX\0\0more\0")), "SLUICE_FRAME_MALFORMED"],
	];

	it.each(cases)("refuses %s at every split, after delivering what came before", (_name, bytes, code) => {
		const good = xlogData(INSERT);
		for (const { name, chunks } of everySplit(Uint8Array.from(Buffer.concat([good, bytes])))) {
			const { seen, frames } = reader();
			let failure = null as ReturnType<FrameReader["feed"]>;
			feedReused(chunks, (chunk) => {
				failure = frames.feed(chunk);
			});
			expect(failure?.code, name).toBe(code);
			expect(seen, name).toEqual([INSERT.toString("hex")]);
		}
	});

	it("shows the first 64 bytes of what it refused", () => {
		const { frames } = reader();
		const failure = frames.feed(message("!", Buffer.alloc(200, 7)));
		expect(failure?.context["hexPrefix"]).toBe(`21000000cc${"07".repeat(59)}`);
	});

	it("delivers nothing behind a malformed message, then or later", () => {
		const { seen, frames } = reader();
		const bytes = Buffer.concat([message("d", Buffer.from("x")), xlogData(INSERT)]);
		const failure = frames.feed(bytes);
		expect(failure).not.toBeNull();
		expect(frames.feed(xlogData(INSERT))).toBe(failure);
		expect(seen).toEqual([]);
	});

	it("believes the largest length that is allowed, and reserves nothing for it yet", () => {
		const { frames } = reader();
		expect(frames.feed(header(0x64, FRAME_BYTES_MAX))).toBeNull();
		expect(frames.pendingBytes).toBe(64);
	});
});

it("takes any bytes at any split without throwing, hanging or depending on the split", () => {
	const body = fc.uint8Array({ maxLength: 60 });
	const types = fc.constantFrom("A", "C", "E", "N", "S", "W", "Z", "c", "d", "R", "!");
	const wellHeaded = fc.tuple(types, body).map(([type, bytes]) => message(type, bytes));
	const sensible = fc.constantFrom(xlogData(INSERT), keepalive(7n, true), report("N", { C: "01000", M: "m" }));
	const parts = fc.array(fc.oneof(sensible, wellHeaded, body.map(Buffer.from)), { maxLength: 8 });
	fc.assert(
		fc.property(parts, fc.array(fc.nat(300), { maxLength: 6 }), (pieces, cuts) => {
			const bytes = Buffer.concat(pieces);
			const whole = reader();
			const wholeFailure = whole.frames.feed(Buffer.from(bytes));
			const edges = [0, ...cuts.filter((cut) => cut < bytes.length).sort((a, b) => a - b), bytes.length];
			const split = reader();
			let failure = null as ReturnType<FrameReader["feed"]>;
			feedReused(
				edges.slice(1).map((edge, at) => bytes.subarray(edges[at], edge)),
				(chunk) => {
					failure = split.frames.feed(chunk);
				},
			);
			expect(split.seen).toEqual(whole.seen);
			expect(failure?.code).toBe(wholeFailure?.code);
		}),
		{ numRuns: 3000 },
	);
});
