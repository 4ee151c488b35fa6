/**
 * The registrar's life while another daemon writes the data directory: reads along, and waits for the end of the
 * other one. Owns the follower and the shapes that are followed; must never write. Made by the registrar when the data
 * directory is taken, and over once it is ours.
 */

import { SluiceError } from "../../shared/errors.ts";
import { TAKEOVER_INTERVAL_MS } from "../../shared/limits.ts";
import type { FollowLog } from "../../shared/log-store.ts";
import type { Logger } from "../../shared/logging.ts";
import { waitMs } from "./backoff.ts";
import { CatalogueReader } from "./catalogue-reader.ts";
import type { DataDirectory } from "./data-directory.ts";
import { FollowedShapes, type FollowedShapesRooms } from "./followed-shapes.ts";
import { Follower } from "./follower.ts";

export interface FollowingRooms extends FollowedShapesRooms {
	readonly directory: Pick<DataDirectory, "tryLock">;
	readonly cataloguePath: string;
	readonly followLog: FollowLog;
	readonly logger: Logger;
	/** Aborted when the registrar stops. */
	readonly signal: AbortSignal;
}

export class Following {
	readonly shapes: FollowedShapes;
	readonly #rooms: FollowingRooms;
	readonly #follower: Follower;

	constructor(rooms: FollowingRooms) {
		this.#rooms = rooms;
		const reader = new CatalogueReader(rooms.cataloguePath);
		// They call each other: requests look into the files, and the files say what there is.
		const follower: Follower = new Follower({ ...rooms, reader, shapes: () => this.shapes });
		this.#follower = follower;
		this.shapes = new FollowedShapes(rooms, follower);
	}

	/**
	 * Fills the shape table with what the writer has, and reads along from then on.
	 * @throws SluiceError `SLUICE_CATALOGUE_UNREADABLE` when it is of another format, which time does not change
	 */
	start(): void {
		try {
			this.#follower.refresh();
		} catch (err) {
			if (!(err instanceof SluiceError) || err.context["foundVersion"] !== undefined) {
				throw err;
			}
			// The writer may be making it at this moment.
			this.#rooms.logger.warn({ err }, "the catalogue cannot be read along yet");
		}
		this.#follower.start();
	}

	/**
	 * Resolves as soon as the data directory is ours: the operating system has it from the other process, so that
	 * nothing is written there any more. @throws SluiceError `SLUICE_NOT_ACTIVE` when the registrar stops
	 */
	async untilOurs(): Promise<void> {
		const { directory, signal } = this.#rooms;
		while (!directory.tryLock()) {
			await waitMs(TAKEOVER_INTERVAL_MS, signal);
			if (signal.aborted) {
				throw new SluiceError("SLUICE_NOT_ACTIVE");
			}
		}
	}

	/** The last look, once nobody writes: the shapes and their logs are then as the other process has left them. */
	finish(): Promise<void> {
		return this.#follower.finish();
	}

	close(): Promise<void> {
		return this.#follower.close();
	}
}
