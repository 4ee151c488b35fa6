/**
 * Entry of the registrar's thread: wires the where room, and reading along in logs, into the registrar and exposes it to main. Owns the
 * thread's ports and its end; the work is in registrar/. Started by main.
 */

import { isMainThread, workerData } from "node:worker_threads";
import { invariant } from "../shared/assert.ts";
import { exposeControl } from "../shared/control-call.ts";
import { createLogger } from "../shared/logging.ts";
import type { RegistrarControl, RegistrarInit } from "../shared/messages.ts";
import { startSampling } from "../shared/thread-sample.ts";
import { followLog } from "./log/log-follow.ts";
import { Registrar } from "./registrar/registrar.ts";
import { loadWhereParser } from "./where/where-parser.ts";

invariant(!isMainThread, "this file is the entry of the registrar's thread");

const init = workerData as RegistrarInit;
const logger = createLogger(init.config.logLevel, "registrar");
const registrar = new Registrar({
	init,
	whereParser: await loadWhereParser(),
	followLog: (directory, acknowledgedLsn) => followLog(directory, acknowledgedLsn, init.config.chunkBytes),
	logger,
	onEvent: (event) => init.eventPort.postMessage(event),
	onFatal: (error) => {
		logger.fatal({ err: error }, "the snapshot pool has failed");
		// An uncaught error ends the thread, which main notices.
		queueMicrotask(() => {
			throw error;
		});
	},
});
const stopSampling = startSampling((sample) => init.eventPort.postMessage(sample));

const control: RegistrarControl = {
	open: () => registrar.open(),
	takeOver: () => registrar.takeOver(),
	acquireLock: () => registrar.acquireLock(),
	reconcilePosition: (facts, receivedLsn) => registrar.reconcilePosition(facts, receivedLsn),
	storeAcknowledged: (lsn) => registrar.storeAcknowledged(lsn),
	attachLane: (attachment) => registrar.attachLane(attachment),
	attachHttp: (attachment) => registrar.attachHttp(attachment),
	nudgeSlotCreation: () => registrar.nudgeSlotCreation(),
	emitProbe: (content) => registrar.emitProbe(content),
	async stop() {
		await registrar.stop();
		stopSampling();
		// After the answer has been posted.
		setImmediate(() => {
			init.controlPort.close();
			init.eventPort.close();
		});
	},
};
exposeControl(control, init.controlPort);
