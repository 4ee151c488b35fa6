/**
 * Makes what was written to a log durable: fdatasync of the segments that were written since the last time, then
 * the directory if files were created. Owns the order; must never repeat a sync that failed (after a failure the
 * kernel has dropped the pages: a second success would mean nothing), nor take a file that cannot be opened now for
 * such a failure. Asynchronous, so that the lane goes on
 * writing meanwhile. Called by the checkpoint.
 */

import { close, fdatasync, fsync, open, readdir } from "node:fs";
import { systemCodeOf } from "../../shared/disk-error.ts";
import { logIndexPath, logSegmentPath } from "../../shared/log-layout.ts";
import type { SyncTask as SharedSyncTask, SyncOutcome } from "../../shared/log-store.ts";

import type { OpenFiles } from "./open-files.ts";
import type { ShapeLog } from "./shape-log.ts";

type Callback = (error: NodeJS.ErrnoException | null) => void;

/** What a checkpoint took over from a log. */
export interface SyncTask extends SharedSyncTask {
	readonly log: ShapeLog;
}

/** Takes the unsynced part; from now on the log counts what is written anew. */
export function takeSync(log: ShapeLog): SyncTask {
	const task = {
		log,
		firstSegment: Math.min(log.firstUnsyncedSegment, log.tail.segment),
		lastSegment: log.tail.segment,
		syncsDirectory: log.createdFiles,
	};
	log.dirty = false;
	log.createdFiles = false;
	log.firstUnsyncedSegment = log.tail.segment;
	return task;
}

/** A file could not be opened for its sync: nothing is lost. */
class NotOpened extends Error {
	override readonly name = "NotOpened";
}

/** @throws the system's error of the first sync that failed */
export async function runSync(task: SyncTask, files: OpenFiles): Promise<SyncOutcome> {
	return postponing(
		async () => {
			for (let segment = task.firstSegment; segment <= task.lastSegment; segment += 1) {
				await syncSegment(task.log, segment, files);
			}
			if (task.syncsDirectory) {
				await syncPath(task.log.directory, "r");
			}
		},
		() => putBack(task),
	);
}

/** Syncs every log file in a directory: for a log that an earlier life of the lane left unsynced. @throws as above */
export async function syncWholeLog(directory: string): Promise<SyncOutcome> {
	return postponing(async () => {
		for (const name of await namesIn(directory)) {
			if (/^log-\d+\.(?:json|idx)$/.test(name)) {
				await syncPath(`${directory}/${name}`, "r+");
			}
		}
		await syncPath(directory, "r");
	});
}

async function postponing(sync: () => Promise<void>, postponed?: () => void): Promise<SyncOutcome> {
	try {
		await sync();
		return "synced";
	} catch (error) {
		if (!(error instanceof NotOpened)) {
			throw error;
		}
		postponed?.();
		return "postponed";
	}
}

/** The log counts what was taken as unsynced again. */
function putBack(task: SyncTask): void {
	const { log } = task;
	log.dirty = true;
	log.createdFiles ||= task.syncsDirectory;
	log.firstUnsyncedSegment = Math.min(log.firstUnsyncedSegment, task.firstSegment);
}

async function syncSegment(log: ShapeLog, segment: number, files: OpenFiles): Promise<void> {
	const pair = files.peek(log, segment);
	if (pair === null) {
		await syncPath(logSegmentPath(log.directory, segment), "r+");
		await syncPath(logIndexPath(log.directory, segment), "r+");
		return;
	}
	files.pin(pair);
	try {
		await asPromise((done) => fdatasync(pair.data, done));
		await asPromise((done) => fdatasync(pair.index, done));
	} finally {
		files.unpin(pair);
	}
}

/** A missing file was removed by the lane meanwhile, with what it held. `r` is for directories. */
async function syncPath(path: string, flags: "r" | "r+"): Promise<void> {
	const fd = await openForSync(path, flags);
	if (fd !== null) {
		try {
			await asPromise((done) => (flags === "r" ? fsync(fd, done) : fdatasync(fd, done)));
		} finally {
			await asPromise((done) => close(fd, done));
		}
	}
}

function openForSync(path: string, flags: string): Promise<number | null> {
	return new Promise((resolve, reject) => {
		open(path, flags, (error, fd) => {
			if (error === null) {
				resolve(fd);
			} else if (systemCodeOf(error) === "ENOENT") {
				resolve(null);
			} else {
				reject(new NotOpened(error.message, { cause: error }));
			}
		});
	});
}

function namesIn(directory: string): Promise<readonly string[]> {
	return new Promise((resolve, reject) => {
		readdir(directory, (error, found) => {
			if (error === null) {
				resolve(found);
			} else {
				// Without its directory the log is lost.
				reject(systemCodeOf(error) === "ENOENT" ? error : new NotOpened(error.message, { cause: error }));
			}
		});
	});
}

function asPromise(start: (done: Callback) => void): Promise<void> {
	return new Promise((resolve, reject) => {
		start((error) => (error === null ? resolve() : reject(error)));
	});
}
