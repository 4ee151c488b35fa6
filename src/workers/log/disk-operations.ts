/**
 * The few synchronous file operations of the log. Owns nothing; must never swallow a failure, nor give it
 * another name (shared/disk-error.ts does, at the edge of this room). Called by the other files of log/.
 */

import {
	closeSync,
	constants as fsConstants,
	ftruncateSync,
	openSync,
	readdirSync,
	readSync,
	unlinkSync,
	writeSync,
} from "node:fs";
import { systemCodeOf } from "../../shared/disk-error.ts";
import { logIndexPath, logSegmentPath } from "../../shared/log-layout.ts";

/** Reading and writing, created when missing. */
export const OPEN_OR_CREATE: number = fsConstants.O_RDWR | fsConstants.O_CREAT;
/** The same, emptied. */
export const OPEN_NEW: number = OPEN_OR_CREATE | fsConstants.O_TRUNC;
export const OPEN_EXISTING: number = fsConstants.O_RDWR;

const FILE_MODE = 0o640;

export function isFileLimit(error: unknown): boolean {
	const code = systemCodeOf(error);
	return code === "EMFILE" || code === "ENFILE";
}

export function openFile(path: string, flags: number): number {
	return openSync(path, flags, FILE_MODE);
}

export function closeFile(fd: number): void {
	closeSync(fd);
}

/** Writes all of it, at `position`. @throws the system's error */
export function writeFully(fd: number, buffer: Buffer, length: number, position: number): void {
	let done = 0;
	while (done < length) {
		done += writeSync(fd, buffer, done, length - done, position + done);
	}
}

/** Reads up to `length` bytes; fewer only at the end of the file. */
export function readFully(fd: number, buffer: Buffer, length: number, position: number): number {
	let done = 0;
	while (done < length) {
		const count = readSync(fd, buffer, done, length - done, position + done);
		if (count === 0) {
			break;
		}
		done += count;
	}
	return done;
}

export function truncateFile(fd: number, length: number): void {
	ftruncateSync(fd, length);
}

/** Removes a file; a missing one is fine. */
export function removeFile(path: string): void {
	try {
		unlinkSync(path);
	} catch (error) {
		if (systemCodeOf(error) !== "ENOENT") {
			throw error;
		}
	}
}

/** The highest number of a log segment that has a file in the directory; -1 when there is none. */
export function lastSegmentIn(directory: string): number {
	let last = -1;
	for (const name of readdirSync(directory)) {
		const match = /^log-(\d+)\.(?:json|idx)$/.exec(name);
		if (match !== null) {
			last = Math.max(last, Number(match[1]));
		}
	}
	return last;
}

/** Removes the files of the segments beyond `segment` up to `last`. */
export function removeSegments(directory: string, segment: number, last: number): void {
	for (let number = last; number > segment; number -= 1) {
		removeFile(logIndexPath(directory, number));
		removeFile(logSegmentPath(directory, number));
	}
}
