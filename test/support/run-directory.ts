/**
 * The name under which a run's directory reaches the test processes. A file of its own, because the global
 * set-up runs outside the test runner's workers and must not load what only works inside them.
 */

export const RUN_DIRECTORY_VARIABLE = "SLUICE_TEST_RUN_DIRECTORY";
