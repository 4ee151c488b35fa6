/**
 * What the composition root gives to a link and hears from it. Types only; must never hold behaviour. Called by
 * the stream and whoever connects one.
 */

import type { DatabaseUrl } from "../../shared/database-url.ts";
import type { SluiceError } from "../../shared/errors.ts";
import type { Logger } from "../../shared/logging.ts";
import type { PacingSettings } from "./read-pacing.ts";

export interface LinkOptions {
	/** Asked for each connection. */
	readonly databaseUrl: DatabaseUrl;
	readonly slotName: string;
	readonly publicationName: string;
	/** For each attempt to connect and each rung of the handshake but slot creation, which may rightly wait. */
	readonly connectTimeoutMs?: number;
	/** Drop an existing slot and make a new one: set after SLUICE_SLOT_LOST, whose stream has a gap. */
	readonly discardSlot?: boolean;
	/** Of an earlier connection of ours: if the slot is still active for it, it is ended. */
	readonly formerWalsenderPid?: number | null;
	/** Let standbys keep a copy of the slot, where the server can (17 and later). */
	readonly slotFailover?: boolean;
	/** Gives up connecting, also while slot creation waits. */
	readonly signal?: AbortSignal;
	readonly log: Logger;
	/** Never set in production. */
	readonly testHooks?: { readonly disableKeepalive?: boolean; readonly pacing?: PacingSettings };
}

export interface LinkEvents {
	/**
	 * One pgoutput message (the XLogData header stripped). A view that is valid only during the call, in stream
	 * order. Called also while paused for what was already read.
	 */
	onFrame(message: Buffer): void;
	/** A server keepalive's wal_end, in stream order. */
	onKeepalive(walEnd: bigint): void;
	/** After all frames of one socket read were handed over: the moment to close a batch or decide. */
	onReadEnd(): void;
	/** Asked each time a status update is built; exact exclusive LSNs, sent unchanged. */
	positions(): { write: bigint; flush: bigint };
	/** Once, after start(): the link is dead. Never after close(). */
	onClosed(error: SluiceError): void;
	/** Names the rung at hand, for status. */
	onStep?(step: string): void;
}

export interface LinkStatistics {
	readonly intervalMs: number;
	/** Status updates sent. */
	readonly sent: number;
	/** Largest time between two status updates since streaming began. */
	readonly largestGapMs: number;
	readonly receivedBytes: number;
	readonly reads: number;
}
