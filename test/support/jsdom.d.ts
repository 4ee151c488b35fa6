/**
 * The little of jsdom that page.ts uses: the package comes without types. Describes, owns nothing.
 */

declare module "jsdom" {
	export class JSDOM {
		constructor(html: string, options: { readonly url: string; readonly pretendToBeVisual: boolean });
		readonly window: {
			readonly document: { getElementById(id: string): { readonly textContent: string } | null };
			close(): void;
		};
	}
}
