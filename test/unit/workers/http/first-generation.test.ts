/** Requests in the protocol's first form, with the table in the path. */

import { expect, test } from "vitest";
import { HttpStand, query } from "./support/http-stand.ts";
import { SNAPSHOT_END } from "./support/shape-files.ts";

const H = "38216733-1768478340123456";

test("the table in the path counts; one in the query too is refused, whatever it says: a proxy may have checked either", async () => {
	await using stand = await HttpStand.start();
	stand.shape("items", H, 7).snapshot([[SNAPSHOT_END]]);
	const path = (parameters: Readonly<Record<string, string>>) =>
		query(parameters).replace("/v1/shape", "/v1/shape/items");
	const answer = await stand.get(path({ offset: "-1" }));
	expect(answer.status).toBe(200);
	expect(answer.headers).toMatchObject({ "electric-handle": H, "x-electric-shape-id": H });
	for (const table of ["items", "other"]) {
		const refused = await stand.get(path({ offset: "-1", table }));
		expect(refused.status).toBe(400);
		expect(JSON.parse(refused.text)).toEqual({ message: "Invalid request", errors: { table: ["is invalid"] } });
	}
	expect((await stand.get(query({ table: "items", offset: "-1" }))).headers).not.toHaveProperty("x-electric-shape-id");
});
