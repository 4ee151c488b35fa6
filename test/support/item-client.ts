/**
 * The published client as the tests of test/clients use it: values parsed, every request noted, long-polls or event
 * streams. Owns the subscription. Called by test/clients.
 */

import type { Message, Row, Shape, ShapeStream, ShapeStreamInterface, ShapeStreamOptions } from "@electric-sql/client";
import * as current from "@electric-sql/client";

/** What tests use of the package; older versions are cast to it. */
export type ClientLibrary = Pick<typeof current, "Shape" | "ShapeStream">;

export interface ItemClientOptions
	extends Pick<ShapeStreamOptions, "url" | "params" | "handle" | "offset" | "liveSse" | "log" | "subscribe"> {
	/** Default: the newest. */
	readonly library?: ClientLibrary;
	/** As an application must for 1.0, which gives up when an event stream breaks off. Such errors are not kept. */
	readonly goesOnWhenBroken?: boolean;
}

export class ItemClient implements AsyncDisposable {
	readonly stream: ShapeStream<Row>;
	readonly errors: Error[] = [];
	readonly requests: URL[] = [];
	readonly messages: Message<Row>[] = [];
	/** Event streams that were opened, by the answers' content type. */
	eventStreams = 0;
	readonly #shape: Shape<Row>;
	readonly #abort = new AbortController();

	constructor(options: ItemClientOptions) {
		const { library = current, liveSse = false, goesOnWhenBroken = false, ...streamOptions } = options;
		// The option's name of 1.0.
		const older = { experimentalLiveSse: liveSse };
		this.stream = new library.ShapeStream<Row>({
			...older,
			...streamOptions,
			liveSse,
			signal: this.#abort.signal,
			backoffOptions: { initialDelay: 50, maxDelay: 500, multiplier: 2 },
			fetchClient: (input, init) => this.#fetch(input, init),
			onError: (error) => {
				if (goesOnWhenBroken && error instanceof TypeError) {
					return {};
				}
				this.errors.push(error);
				return undefined;
			},
		});
		this.stream.subscribe((messages) => {
			this.messages.push(...messages);
		});
		// The package's own types do not agree with each other under exactOptionalPropertyTypes.
		this.#shape = new library.Shape(this.stream as unknown as ShapeStreamInterface<Row>);
	}

	get liveRequests(): number {
		return this.requests.filter((url) => url.searchParams.get("live") === "true").length;
	}

	items(): readonly Row[] {
		return this.#shape.currentRows;
	}

	async #fetch(input: string | URL | Request, init?: RequestInit): Promise<Response> {
		this.requests.push(new URL(input instanceof Request ? input.url : input));
		const response = await fetch(input, init);
		if (response.headers.get("content-type") === "text/event-stream") {
			this.eventStreams += 1;
		}
		return response;
	}

	async [Symbol.asyncDispose](): Promise<void> {
		this.stream.unsubscribeAll();
		this.#abort.abort();
	}
}
