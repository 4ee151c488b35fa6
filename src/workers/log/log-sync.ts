/**
 * Makes what was written to a log durable: fdatasync of the segments that were written since the last time, then
 * the directory if files were created. Owns the order; must never repeat a sync that failed (after a failure the
 * kernel has dropped the pages: a second success would mean nothing). Asynchronous, so that the lane goes on
 * writing meanwhile. Called by the checkpoint.
 */

import { close, fdatasync, fsync, open, readdir } from "node:fs";
import { systemCodeOf } from "../../shared/disk-error.ts";
import { logIndexPath, logSegmentPath } from "../../shared/log-layout.ts";
import type { SyncTask as SharedSyncTask } from "../../shared/log-store.ts";

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

/** @throws the system's error of the first sync that failed */
export async function runSync(task: SyncTask, files: OpenFiles): Promise<void> {
	const { log } = task;
	for (let segment = task.firstSegment; segment <= task.lastSegment; segment += 1) {
		const pair = files.peek(log, segment);
		if (pair === null) {
			await syncPath(logSegmentPath(log.directory, segment));
			await syncPath(logIndexPath(log.directory, segment));
			continue;
		}
		files.pin(pair);
		try {
			await asPromise((done) => fdatasync(pair.data, done));
			await asPromise((done) => fdatasync(pair.index, done));
		} finally {
			files.unpin(pair);
		}
	}
	if (task.syncsDirectory) {
		await syncDirectory(log.directory);
	}
}

/** Syncs every log file in a directory: for a log that an earlier life of the lane left unsynced. */
export async function syncWholeLog(directory: string): Promise<void> {
	const names = await new Promise<readonly string[]>((resolve, reject) => {
		readdir(directory, (error, found) => (error === null ? resolve(found) : reject(error)));
	});
	for (const name of names) {
		if (/^log-\d+\.(?:json|idx)$/.test(name)) {
			await syncPath(`${directory}/${name}`);
		}
	}
	await syncDirectory(directory);
}

/** A missing file was removed by the lane meanwhile, with what it held. */
async function syncPath(path: string): Promise<void> {
	const fd = await openForSync(path, "r+");
	if (fd !== null) {
		try {
			await asPromise((done) => fdatasync(fd, done));
		} finally {
			await asPromise((done) => close(fd, done));
		}
	}
}

async function syncDirectory(path: string): Promise<void> {
	const fd = await openForSync(path, "r");
	if (fd !== null) {
		try {
			await asPromise((done) => fsync(fd, done));
		} finally {
			await asPromise((done) => close(fd, done));
		}
	}
}

async function openForSync(path: string, flags: string): Promise<number | null> {
	try {
		return await new Promise<number>((resolve, reject) => {
			open(path, flags, (error, fd) => (error === null ? resolve(fd) : reject(error)));
		});
	} catch (error) {
		if (systemCodeOf(error) === "ENOENT") {
			return null;
		}
		throw error;
	}
}

function asPromise(start: (done: Callback) => void): Promise<void> {
	return new Promise((resolve, reject) => {
		start((error) => (error === null ? resolve() : reject(error)));
	});
}
