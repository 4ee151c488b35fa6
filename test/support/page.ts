/**
 * A page's globals, for clients that look for `document` and `window`, beside Node's own `fetch` and `AbortSignal`,
 * which a whole browser environment would replace. Owns those globals while a file's or `describe`'s tests run.
 * Called by test/clients.
 */

import { JSDOM } from "jsdom";
import { afterAll, beforeAll } from "vitest";

export interface PageElement {
	readonly textContent: string;
}

/** `root()` is the page's one element, for use inside tests and hooks. */
export function usePage(): { root(): PageElement } {
	const names = ["window", "document"] as const;
	let page: JSDOM | null = null;
	beforeAll(() => {
		// Visible: a client in a hidden page pauses.
		page = new JSDOM("<!doctype html><div id='root'></div>", { url: "http://127.0.0.1/", pretendToBeVisual: true });
		const { window } = page;
		const values = { window, document: window.document };
		for (const name of names) {
			Object.defineProperty(globalThis, name, { configurable: true, value: values[name] });
		}
	});
	afterAll(() => {
		for (const name of names) {
			Reflect.deleteProperty(globalThis, name);
		}
		page?.window.close();
	});
	return {
		root: () => {
			const element = page?.window.document.getElementById("root") ?? null;
			if (element === null) {
				throw new Error("the page exists only inside tests and hooks");
			}
			return element;
		},
	};
}
