/**
 * The shapes whose logs hold entries of the open transaction. Owns that list, across batches; must never hold a
 * shape twice. Called by the batch processor and at the splice.
 */

import type { LaneShape } from "./lane-shape.ts";

export class OpenShapes {
	#shapes: LaneShape[] = [];

	get shapes(): readonly LaneShape[] {
		return this.#shapes;
	}

	add(shape: LaneShape): void {
		if (!shape.isInOpenTransaction) {
			shape.isInOpenTransaction = true;
			this.#shapes.push(shape);
		}
	}

	delete(shape: LaneShape): void {
		if (shape.isInOpenTransaction) {
			this.replace(this.#shapes.filter((other) => other !== shape));
		}
	}

	/** Makes the list exactly this one. */
	replace(shapes: readonly LaneShape[]): void {
		for (const shape of this.#shapes) {
			shape.isInOpenTransaction = false;
		}
		this.#shapes = shapes.slice();
		for (const shape of this.#shapes) {
			shape.isInOpenTransaction = true;
		}
	}
}
