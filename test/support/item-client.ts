/**
 * The published client as the tests of test/clients use it: values parsed, every request noted, long-polls or event
 * streams. Owns the subscription. Called by test/clients.
 */

import { type Row, Shape, ShapeStream, type ShapeStreamInterface, type ShapeStreamOptions } from "@electric-sql/client";

export type ItemClientOptions = Pick<
	ShapeStreamOptions,
	"url" | "params" | "handle" | "offset" | "liveSse" | "log" | "subscribe"
>;

export class ItemClient implements AsyncDisposable {
	readonly stream: ShapeStream<Row>;
	readonly errors: Error[] = [];
	readonly requests: URL[] = [];
	/** Event streams that were opened, by the answers' content type. */
	eventStreams = 0;
	readonly #shape: Shape<Row>;
	readonly #abort = new AbortController();

	constructor(options: ItemClientOptions) {
		this.stream = new ShapeStream<Row>({
			...options,
			signal: this.#abort.signal,
			backoffOptions: { initialDelay: 50, maxDelay: 500, multiplier: 2 },
			fetchClient: (input, init) => this.#fetch(input, init),
			onError: (error) => {
				this.errors.push(error);
			},
		});
		// The package's own types do not agree with each other under exactOptionalPropertyTypes.
		this.#shape = new Shape(this.stream as unknown as ShapeStreamInterface<Row>);
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
