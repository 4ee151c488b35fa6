import { expect, it } from "vitest";
import { afterRead, afterRest, PACING, PACING_START } from "../../../../src/main/link/read-pacing.ts";

/** Plays reads at these times, resting as told; answers which of them were followed by a rest. */
function play(times: readonly number[], read = { bytes: 30_000, full: false }, settings = PACING): boolean[] {
	let state = PACING_START;
	return times.map((atMs) => {
		const step = afterRead(state, atMs, read, settings);
		state = step.gather ? afterRest(step.state, atMs + settings.gatherMs) : step.state;
		return step.gather;
	});
}

it("reads at once after quiet", () => {
	expect(play([0, 10, 25, 1000])).toEqual([false, false, false, false]);
});

it("does not delay one transaction that comes in a few pieces", () => {
	expect(play([100, 100.1, 100.2, 100.3])).toEqual([false, false, false, false]);
});

it("lets bytes gather once reads follow each other", () => {
	expect(play([0, 0.1, 0.2, 0.3, 0.4])).toEqual([false, false, false, false, true]);
});

it("goes on gathering while each rest finds bytes waiting", () => {
	expect(play([0, 0.1, 0.2, 0.3, 0.4, 1.5, 2.6]).slice(4)).toEqual([true, true, true]);
});

it("reads at once again when a rest was followed by quiet", () => {
	expect(play([0, 0.1, 0.2, 0.3, 0.4, 50]).at(-1)).toBe(false);
});

it("does not rest after a full read", () => {
	expect(play([0, 0.1, 0.2, 0.3, 0.4, 0.5], { bytes: 200_000, full: true })).not.toContain(true);
});

it("stops resting when a rest brings little: somebody commits one transaction after the other, and waits", () => {
	const rests = play([0, 0.1, 0.2, 0.3, 0.4, 1.5, 1.6, 1.7, 1.8, 1.9, 3.1], { bytes: 300, full: false });
	expect(rests).toEqual([false, false, false, false, true, false, false, false, false, true, false]);
});

it("never rests when eager", () => {
	expect(
		play(
			[0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6],
			{ bytes: 300, full: false },
			{ ...PACING, streak: Number.POSITIVE_INFINITY },
		),
	).not.toContain(true);
});
