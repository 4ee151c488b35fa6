/** Whose session may be ended for the stream's lock: the judgement without a database. */

import { expect, it } from "vitest";
import { LOCK_HOLDER_SILENCE_MS } from "../../../../src/shared/limits.ts";
import { judgeHolder, LOCK_APPLICATION_NAME } from "../../../../src/workers/registrar/lock-breaker.ts";

const HOLDER = { pid: 7, applicationName: LOCK_APPLICATION_NAME, silentMs: 0, slotActive: false };

it("breaks the lock of a daemon only when it has been silent for longer than a live one ever is", () => {
	expect(judgeHolder({ ...HOLDER, silentMs: 10_000 })).toBe("holder-alive");
	expect(judgeHolder({ ...HOLDER, silentMs: LOCK_HOLDER_SILENCE_MS - 1 })).toBe("holder-alive");
	expect(judgeHolder({ ...HOLDER, silentMs: LOCK_HOLDER_SILENCE_MS })).toBe("break");
	expect(judgeHolder({ ...HOLDER, silentMs: null })).toBe("holder-alive");
});

it("breaks the lock of a foreign session at once, and of nobody whose slot is in use", () => {
	expect(judgeHolder({ ...HOLDER, applicationName: "psql" })).toBe("break");
	expect(judgeHolder({ ...HOLDER, applicationName: "psql", slotActive: true })).toBe("slot-active");
	expect(judgeHolder({ ...HOLDER, silentMs: 1_000_000, slotActive: true })).toBe("slot-active");
});
