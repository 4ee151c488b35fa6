/**
 * Entry of an HTTP thread: reads its workerData, wires the ports and waits to be told to listen. Must run as a
 * worker thread. Started by main's pool room.
 */

import { isMainThread, workerData } from "node:worker_threads";
import { invariant } from "../shared/assert.ts";
import { controlClient, exposeControl } from "../shared/control-call.ts";
import { createLogger } from "../shared/logging.ts";
import type { HttpControl, HttpInit, MainControl, RegistrarShapeControl } from "../shared/messages.ts";
import { ShapeTable } from "../shared/shape-table.ts";
import { startSampling } from "../shared/thread-sample.ts";
import { HttpThread } from "./http/http-thread.ts";

invariant(!isMainThread, "an HTTP thread is started as a worker");

const init = workerData as HttpInit;
const thread = new HttpThread({
	httpThread: init.httpThread,
	config: init.config,
	instanceId: init.instanceId,
	table: new ShapeTable(init.shapeTable),
	registrar: controlClient<RegistrarShapeControl>(init.registrarPort),
	main: controlClient<MainControl>(init.mainPort),
	logger: createLogger(init.config.logLevel, `http-${init.httpThread}`),
	servesAdmin: init.servesAdmin,
	port: init.port,
});
const stopSampling = startSampling(
	(sample) => init.eventPort.postMessage(sample),
	() => thread.gauges(),
);

const control: HttpControl = {
	listen: () => thread.listen(),
	stop: async () => {
		stopSampling();
		await thread.stop();
	},
};
exposeControl(control, init.controlPort);
