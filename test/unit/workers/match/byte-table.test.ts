/** The byte table against a Map that is asked the same things. */

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ByteTable } from "../../../../src/workers/match/byte-table.ts";

const bytesOf = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text));

describe("a byte table", () => {
	it("holds what a Map holds after any sequence of sets, notes and deletes", () => {
		const keys = fc.constantFrom("", "a", "b", "aa", "ab", ...Array.from({ length: 60 }, (_, index) => `key${index}`));
		const action = fc.record({ kind: fc.constantFrom("set", "set", "delete", "note"), key: keys, value: fc.nat(1000) });
		fc.assert(
			fc.property(fc.array(action, { maxLength: 300 }), (actions) => {
				const table = new ByteTable<number>();
				const model = new Map<string, { value: number; note: number }>();
				for (const { kind, key, value } of actions) {
					if (kind === "set") {
						table.set(bytesOf(key), value);
						model.set(key, { value, note: model.get(key)?.note ?? 0 });
					} else if (kind === "delete") {
						table.delete(bytesOf(key));
						model.delete(key);
					} else {
						table.setNote(bytesOf(key), value);
						const known = model.get(key);
						if (known !== undefined) {
							known.note = value;
						}
					}
				}
				expect(table.size).toBe(model.size);
				for (let index = 0; index < 60; index += 1) {
					const key = `key${index}`;
					const around = bytesOf(`<${key}>`);
					const place = table.find(around, 1, 1 + key.length);
					const known = model.get(key);
					expect(place < 0 ? undefined : table.valueAt(place)).toBe(known?.value);
					expect(place < 0 ? 0 : table.noteAt(place)).toBe(known?.note ?? 0);
				}
			}),
			{ numRuns: 200 },
		);
	});

	it("finds many keys among each other, and shrinks when they go", () => {
		const table = new ByteTable<number>();
		for (let index = 0; index < 20_000; index += 1) {
			table.set(bytesOf(String(index)), index);
		}
		expect(table.get(bytesOf("19999"))).toBe(19_999);
		expect(table.get(bytesOf("20000"))).toBeUndefined();
		for (let index = 0; index < 20_000; index += 1) {
			table.delete(bytesOf(String(index)));
		}
		expect(table.size).toBe(0);
		expect(table.get(bytesOf("1"))).toBeUndefined();
	});
});
