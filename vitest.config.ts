/**
 * How tests run. Two projects: `unit` needs nothing, `pg` needs PostgreSQL and gets it from test/support.
 * Processes, not threads: what is tested starts threads of its own and looks at its own process.
 */

import { defineConfig } from "vitest/config";

export default defineConfig({
	test: {
		globalSetup: ["test/support/global-setup.ts"],
		maxWorkers: 2,
		reporters: ["default", "./test/support/closing-line-reporter.ts"],
		teardownTimeout: 30_000,
		projects: [
			{
				test: {
					name: "unit",
					pool: "forks",
					include: ["test/unit/**/*.test.ts", "test/support/**/*.test.ts"],
					exclude: ["**/*.pg.test.ts"],
					testTimeout: 20_000,
					hookTimeout: 20_000,
					unstubEnvs: true,
					sequence: { groupOrder: 0 },
				},
			},
			{
				test: {
					name: "pg",
					pool: "forks",
					include: ["test/**/*.pg.test.ts", "test/faults/**/*.test.ts", "test/e2e/**/*.test.ts"],
					testTimeout: 60_000,
					hookTimeout: 120_000,
					unstubEnvs: true,
					// After the unit tests: some of these measure delays, and two of them at a time fill two cores.
					sequence: { groupOrder: 1 },
				},
			},
		],
	},
});
