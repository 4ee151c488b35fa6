/**
 * One logger a thread: pino, JSON lines, synchronous to standard output (a worker's process.stdout would wait
 * for main). Messages are static lower-case prose, facts go in fields, the error key is `err`. Must never get
 * row values, parameters, passwords or URLs with secrets. Called once by each thread's entry.
 */

import { destination, type Logger, pino, stdTimeFunctions } from "pino";
import { SluiceError } from "./errors.ts";

export type { Logger } from "pino";

export type LogLevel = "trace" | "debug" | "info" | "warn" | "error" | "fatal" | "silent";

/** Makes the thread's logger; `thread` is for example "main", "lane-0", "http-1". */
export function createLogger(level: LogLevel, thread: string): Logger {
	return pino(
		{
			level,
			base: { thread },
			timestamp: stdTimeFunctions.isoTime,
			formatters: { level: (label) => ({ level: label }) },
			serializers: { err: serializeError },
		},
		destination({ fd: 1, sync: true }),
	);
}

/** Code, remedy, context and the chain of causes, so that one log line says what happened and what to run. */
export function serializeError(error: unknown): unknown {
	if (!(error instanceof Error)) {
		return { message: String(error) };
	}
	const code = error instanceof SluiceError ? { code: error.code, remedy: error.remedy, ...error.context } : {};
	const systemCode = !(error instanceof SluiceError) && "code" in error ? { code: error.code } : {};
	return {
		type: error.name,
		message: error.message,
		...code,
		...systemCode,
		stack: error.stack,
		...(error.cause === undefined ? {} : { cause: serializeError(error.cause) }),
	};
}
