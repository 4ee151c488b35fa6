/**
 * Control calls between real threads: answers, errors with their code, and an end when the other thread dies.
 */

import { once } from "node:events";
import { MessageChannel, type MessagePort, Worker } from "node:worker_threads";
import { afterEach, describe, expect, it } from "vitest";
import { controlClient, exposeControl, withTransfer } from "../../../src/shared/control-call.ts";
import { SluiceError } from "../../../src/shared/errors.ts";

interface Control {
	add(left: number, right: bigint): Promise<string>;
	fail(): Promise<void>;
	breakDown(): Promise<void>;
	reject(): Promise<void>;
	unsendable(): Promise<unknown>;
	never(): Promise<void>;
	die(): Promise<void>;
	answerOn(request: { readonly port: MessagePort }): Promise<void>;
}

const code = `
	const { workerData } = require("node:worker_threads");
	(async () => {
		const { exposeControl } = await import(workerData.controlCall);
		const { SluiceError } = await import(workerData.errors);
		exposeControl({
			async add(left, right) { return String(BigInt(left) + right); },
			async fail() { throw new SluiceError("SLUICE_DISK_FULL", { bytes: 5n, cause: new Error("deep") }); },
			async breakDown() { return undefined.nothing; },
			reject() { return Promise.reject("no error at all"); },
			async unsendable() { return () => undefined; },
			never() { return new Promise(() => undefined); },
			die() { process.exit(3); },
			async answerOn({ port }) { port.postMessage("here"); port.close(); },
		}, workerData.port);
	})();
`;

const workers: Worker[] = [];

function startThread(): { client: ReturnType<typeof controlClient<Control>>; worker: Worker; port: MessagePort } {
	const { port1, port2 } = new MessageChannel();
	const worker = new Worker(code, {
		eval: true,
		workerData: {
			port: port2,
			controlCall: new URL("../../../src/shared/control-call.ts", import.meta.url).href,
			errors: new URL("../../../src/shared/errors.ts", import.meta.url).href,
		},
		transferList: [port2],
	});
	workers.push(worker);
	return { client: controlClient<Control>(port1), worker, port: port1 };
}

afterEach(async () => {
	await Promise.all(workers.splice(0).map((worker) => worker.terminate()));
});

describe("a control call to another thread", () => {
	it("brings arguments there and the answer back, big integers too", async () => {
		const { client } = startThread();
		expect(await client.add(1, 2n ** 63n)).toBe("9223372036854775809");
	});

	it("keeps concurrent calls apart", async () => {
		const { client } = startThread();
		const answers = await Promise.all(Array.from({ length: 50 }, (_, index) => client.add(index, 0n)));
		expect(answers).toEqual(Array.from({ length: 50 }, (_, index) => String(index)));
	});

	it("rejects with the error's own code, facts and cause", async () => {
		const { client } = startThread();
		const error = await client.fail().catch((thrown: unknown) => thrown);
		expect(error).toBeInstanceOf(SluiceError);
		expect(error).toMatchObject({ code: "SLUICE_DISK_FULL", context: { bytes: 5n }, cause: { message: "deep" } });
	});

	it("rejects with name and stack of an error that has no code", async () => {
		const { client } = startThread();
		await expect(client.breakDown()).rejects.toMatchObject({
			name: "TypeError",
			stack: expect.stringContaining("breakDown"),
		});
	});

	it("rejects for what is no error, and for an answer that cannot be sent", async () => {
		const { client } = startThread();
		await expect(client.reject()).rejects.toMatchObject({ name: "NonError", message: "no error at all" });
		await expect(client.unsendable()).rejects.toThrow();
		expect(await client.add(1, 1n)).toBe("2");
	});

	it("rejects when the thread dies in the middle, and at once ever after", async () => {
		const { client } = startThread();
		const gone = { code: "SLUICE_THREAD_GONE", retry: "retry" };
		const pending = expect(client.never()).rejects.toMatchObject(gone);
		await expect(client.die()).rejects.toMatchObject(gone);
		await pending;
		await expect(client.add(1, 1n)).rejects.toMatchObject(gone);
	});

	it("rejects when the thread is terminated from outside", async () => {
		const { client, worker } = startThread();
		await client.add(1, 1n);
		const pending = expect(client.never()).rejects.toMatchObject({ code: "SLUICE_THREAD_GONE" });
		await worker.terminate();
		await pending;
	});

	it("moves a port to the other thread", async () => {
		const { client } = startThread();
		const { port1, port2 } = new MessageChannel();
		const answer = once(port1, "message");
		await client.answerOn(withTransfer({ port: port2 }, [port2]));
		expect(await answer).toEqual(["here"]);
	});

	it("may be returned from an async function: a client is no promise", async () => {
		const { port1, port2 } = new MessageChannel();
		exposeControl({ add: async () => "never asked" }, port2);
		const client = await Promise.resolve(controlClient<Pick<Control, "add">>(port1));
		expect(typeof client.add).toBe("function");
		port1.close();
	});
});
