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
					// Most of their time these wait for a server: two at a time leave half of two cores idle.
					maxWorkers: 3,
					// After the unit tests: some of these measure delays.
					sequence: { groupOrder: 1 },
				},
			},
		],
	},
});
