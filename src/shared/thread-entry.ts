/**
 * Where a thread's entry file is: `.ts` when the source runs unbuilt, `.js` in `dist`. The compiler rewrites
 * imports but not `new URL("./x.ts")`, so this is the one place that decides. Called by whoever starts threads.
 */

/** Href of `src/workers/<name>` with the ending that this process runs. */
export function workerEntry(name: "lane" | "registrar" | "snapshot" | "http"): string {
	const ending = import.meta.url.endsWith(".ts") ? "ts" : "js";
	return new URL(`../workers/${name}.${ending}`, import.meta.url).href;
}
