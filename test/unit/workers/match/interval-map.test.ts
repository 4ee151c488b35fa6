import { describe, expect, it } from "vitest";
import { type Bound, type Interval, IntervalMap } from "../../../../src/workers/match/interval-map.ts";
import { Random } from "../../../support/random.ts";

const compare = (left: number, right: number): number => left - right;

function holds(interval: Interval<number>, value: number): boolean {
	const { low, high } = interval;
	const fromLow = low.value === null || value > low.value || (value === low.value && low.inclusive);
	const toHigh = high.value === null || value < high.value || (value === high.value && high.inclusive);
	return fromLow && toHigh;
}

function draw(random: Random): Interval<number> {
	const bound = (): Bound<number> => ({
		value: random.chance(0.15) ? null : random.integer(0, 40),
		inclusive: random.chance(0.5),
	});
	return { low: bound(), high: bound() };
}

function found(map: IntervalMap<number, string>, value: number): string[] {
	const names: string[] = [];
	map.stab(value, (name) => names.push(name));
	return names.sort();
}

describe("an interval map", () => {
	it("finds exactly the intervals that hold a value, whatever was added and removed before", () => {
		const random = new Random(4);
		const map = new IntervalMap<number, string>(compare);
		const model = new Map<string, Interval<number>>();
		for (let step = 0; step < 4_000; step += 1) {
			const interval = draw(random);
			const name = JSON.stringify(interval);
			// A bound that is not there has one spelling.
			const isCanonical = [interval.low, interval.high].every(({ value, inclusive }) => value !== null || !inclusive);
			if (isCanonical && random.chance(model.size > 150 ? 0.2 : 0.6)) {
				if (!model.has(name)) {
					map.add(interval, name);
					model.set(name, interval);
				}
			} else if (model.size > 0) {
				const [chosen = name] = random.shuffle([...model.keys()]);
				map.delete(model.get(chosen) as Interval<number>);
				model.delete(chosen);
			}
			expect(map.size).toBe(model.size);
			const value = random.integer(-1, 41);
			const expected = [...model].filter(([, held]) => holds(held, value)).map(([key]) => key);
			expect(found(map, value)).toEqual(expected.sort());
		}
	});

	it("answers what is behind an interval by its bounds", () => {
		const map = new IntervalMap<number, string>(compare);
		const interval = { low: { value: 1, inclusive: true }, high: { value: null, inclusive: false } };
		map.add(interval, "from 1");
		expect(map.get({ ...interval })).toBe("from 1");
		expect(map.get({ ...interval, low: { value: 1, inclusive: false } })).toBeUndefined();
	});

	it("compares a value with few of many disjoint intervals", () => {
		let comparisons = 0;
		const map = new IntervalMap<number, number>((left, right) => {
			comparisons += 1;
			return left - right;
		});
		for (let index = 0; index < 10_000; index += 1) {
			map.add({ low: { value: index * 2, inclusive: true }, high: { value: index * 2 + 1, inclusive: false } }, index);
		}
		comparisons = 0;
		map.stab(7_000, (value) => expect(value).toBe(3_500));
		expect(comparisons).toBeLessThan(250);
	});
});
