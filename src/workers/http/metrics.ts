/**
 * What an HTTP thread counts, and the Prometheus text of the admin port: the thread's own counters and everything in
 * main's status. Owns a registry of its own (prom-client's global one is shared by the process). Called by the
 * servers.
 */

import { Counter, Gauge, Registry } from "prom-client";
import { parseLsn } from "../../shared/lsn.ts";
import type { Status } from "../../shared/status.ts";
import type { Admission } from "./admission.ts";
import type { BodyBudget } from "./body-budget.ts";
import type { Compression } from "./compression.ts";
import type { LogReader } from "./log-reader.ts";
import type { SlotWaiters } from "./waiters.ts";

/** Requests by route and outcome. */
export class RequestCounters {
	readonly #byOutcome = new Map<string, { readonly route: string; readonly status: string; count: number }>();
	#current = 0;

	get current(): number {
		return this.#current;
	}

	get outcomes(): Iterable<{ readonly route: string; readonly status: string; readonly count: number }> {
		return this.#byOutcome.values();
	}

	/** Call the answer once, with the status, or null when nothing was sent. */
	begin(route: string): (status: number | null) => void {
		this.#current += 1;
		return (status) => {
			this.#current -= 1;
			const text = status === null ? "none" : String(status);
			const key = `${route} ${text}`;
			const entry = this.#byOutcome.get(key) ?? { route, status: text, count: 0 };
			entry.count += 1;
			this.#byOutcome.set(key, entry);
		};
	}
}

export interface HttpMeasures {
	readonly counters: RequestCounters;
	readonly admission: Admission;
	readonly waiters: SlotWaiters;
	readonly reader: LogReader;
	readonly bodies: BodyBudget;
	readonly compression: Compression;
}

/** For ThreadSample: a few numbers a second. */
export function httpGauges(measures: HttpMeasures): Readonly<Record<string, number>> {
	return {
		requests: measures.counters.current,
		parked: measures.waiters.parked,
		initial: measures.admission.current.initial,
		existing: measures.admission.current.existing,
		bodyBytes: measures.bodies.heldBytes,
		compressions: measures.compression.running,
	};
}

const LEVELS = ["starting", "read-only", "active"] as const;

/** The text of `GET /metrics`. @param status null when main does not answer */
export async function metricsText(status: Status | null, measures: HttpMeasures): Promise<string> {
	const registry = new Registry();
	addHttp(registry, measures);
	if (status !== null) {
		addStatus(registry, status);
	}
	return registry.metrics();
}

function addHttp(registry: Registry, measures: HttpMeasures): void {
	const requests = new Counter({
		name: "sluice_http_requests_total",
		help: "Requests that ended, by route and status, in this HTTP thread",
		labelNames: ["route", "status"],
		registers: [registry],
	});
	for (const { route, status, count } of measures.counters.outcomes) {
		requests.inc({ route, status }, count);
	}
	gauge(registry, "sluice_http_requests_current", "Requests under way in this HTTP thread", measures.counters.current);
	gauge(registry, "sluice_http_parked_current", "Requests that wait for news", measures.waiters.parked);
	gauge(registry, "sluice_http_body_bytes", "Memory held for request bodies", measures.bodies.heldBytes);
	const { sharedHits, reads } = measures.reader.counters;
	counter(registry, "sluice_http_reads_total", "Reads of log and snapshot files", reads);
	counter(registry, "sluice_http_shared_reads_total", "Answers given from another request's read", sharedHits);
	const current = new Gauge({
		name: "sluice_http_admission_current",
		help: "Admitted requests by kind",
		labelNames: ["kind"],
		registers: [registry],
	});
	const rejected = new Counter({
		name: "sluice_http_admission_rejected_total",
		help: "Requests that admission control refused, by kind",
		labelNames: ["kind"],
		registers: [registry],
	});
	for (const kind of ["initial", "existing"] as const) {
		current.set({ kind }, measures.admission.current[kind]);
		rejected.inc({ kind }, measures.admission.rejected[kind]);
	}
}

function addStatus(registry: Registry, status: Status): void {
	gauge(registry, "sluice_level", "0 starting, 1 read-only, 2 active", LEVELS.indexOf(status.level));
	gauge(registry, "sluice_shapes", "Shapes that exist", status.shapes.count);
	gauge(registry, "sluice_process_resident_memory_bytes", "Resident memory", status.memory.rssBytes);
	gauge(registry, "sluice_uptime_seconds", "Time since start", status.uptimeMs / 1_000);
	addLink(registry, status);
	addProgress(registry, status);
	addRetainedWal(registry, status);
	addLanes(registry, status);
	gauge(registry, "sluice_window_bytes", "Bytes received and not yet written by every lane", status.window.bytes);
	gauge(registry, "sluice_window_limit_bytes", "Limit of the window", status.window.limitBytes);
	gauge(registry, "sluice_window_batches", "Batches in the window", status.window.batches);
	const delay = new Gauge({
		name: "sluice_event_loop_delay_seconds",
		help: "Delay of a thread's event loop in its last sample",
		labelNames: ["thread", "quantile"],
		registers: [registry],
	});
	for (const [thread, summary] of Object.entries(status.eventLoopDelayMs)) {
		delay.set({ thread, quantile: "0.5" }, summary.p50 / 1_000);
		delay.set({ thread, quantile: "0.99" }, summary.p99 / 1_000);
		delay.set({ thread, quantile: "1" }, summary.max / 1_000);
	}
	const cpu = new Counter({
		name: "sluice_thread_cpu_seconds_total",
		help: "CPU time of a thread",
		labelNames: ["thread"],
		registers: [registry],
	});
	for (const [thread, milliseconds] of Object.entries(status.cpuMs)) {
		cpu.inc({ thread }, milliseconds / 1_000);
	}
}

function addLink(registry: Registry, status: Status): void {
	const { link } = status;
	const state = new Gauge({
		name: "sluice_link_state",
		help: "1 for the state of the replication link",
		labelNames: ["state"],
		registers: [registry],
	});
	state.set({ state: link.state }, 1);
	gauge(registry, "sluice_link_paused", "1 while the replication socket is not read", link.paused ? 1 : 0);
	counter(registry, "sluice_link_pauses_total", "Pauses of the replication socket", link.pauses);
	counter(registry, "sluice_link_connects_total", "Connections of the replication link", link.connects);
	counter(registry, "sluice_link_received_bytes_total", "Bytes of the replication stream", link.receivedBytes);
	counter(registry, "sluice_link_keepalives_sent_total", "Status updates sent", link.keepalive.sent);
	const gapSeconds = link.keepalive.largestGapMs / 1_000;
	gauge(registry, "sluice_link_keepalive_largest_gap_seconds", "Longest time between status updates", gapSeconds);
	const received = parseLsn(link.receivedLsn);
	const lag = (lsn: string): number => Math.max(0, Number(received - parseLsn(lsn)));
	gauge(registry, "sluice_link_durable_lag_bytes", "Received and not yet durable", lag(link.durableLsn));
	gauge(registry, "sluice_link_acknowledged_lag_bytes", "Received and not acknowledged", lag(link.acknowledgedLsn));
}

/** Whether changes get through, and what the server keeps for us meanwhile. */
function addProgress(registry: Registry, { progress, server, link }: Status): void {
	const state = new Gauge({
		name: "sluice_progress_state",
		help: "1 for whether changes get through: streaming, backpressured, stalled, blind or behind",
		labelNames: ["state"],
		registers: [registry],
	});
	state.set({ state: progress.state }, 1);
	gauge(registry, "sluice_progress_state_age_seconds", "How long that state has lasted", progress.ageMs / 1_000);
	gauge(registry, "sluice_link_paused_seconds", "How long the pause at hand has lasted", link.pausedForMs / 1_000);
	counter(registry, "sluice_link_detaches_total", "Links closed in order because of a pause", link.detaches);
	addProbe(registry, progress.probe);
	if (server !== null) {
		gauge(
			registry,
			"sluice_server_behind_bytes",
			"WAL that the server has and Sluice has not received",
			server.behindBytes,
		);
		if (server.safeWalBytes !== null) {
			gauge(registry, "sluice_server_safe_wal_bytes", "WAL until the slot is at risk", server.safeWalBytes);
		}
	}
}

/** Proof that the way from the database is open. */
function addProbe(registry: Registry, probe: Status["progress"]["probe"]): void {
	counter(registry, "sluice_probes_sent_total", "Logical messages written to see whether they come", probe.sent);
	counter(registry, "sluice_probes_lost_total", "Probes that never came: the link was made anew", probe.lost);
	gauge(registry, "sluice_probe_stage_age_seconds", "Age of a probe in its stage", probe.stageAgeMs / 1_000);
	if (probe.provenAgeMs !== null) {
		gauge(
			registry,
			"sluice_proven_age_seconds",
			"Since something last came all the way from the database to its acknowledgement",
			probe.provenAgeMs / 1_000,
		);
	}
	const trip = new Gauge({
		name: "sluice_probe_round_trip_seconds",
		help: "Of the last probe: from the database to us (received), and to its acknowledgement",
		labelNames: ["to"],
		registers: [registry],
	});
	for (const [to, milliseconds] of [
		["received", probe.receiveMs],
		["acknowledged", probe.roundTripMs],
	] as const) {
		if (milliseconds !== null) {
			trip.set({ to }, milliseconds / 1_000);
		}
	}
}

/** What the server keeps for the slot. */
function addRetainedWal(registry: Registry, { wal }: Status): void {
	if (wal === null) {
		return;
	}
	const retained = new Gauge({
		name: "sluice_server_retained_wal_bytes",
		help: "WAL that the server keeps for the slot, by whose doing it is: sluice, transaction or idle",
		labelNames: ["cause"],
		registers: [registry],
	});
	retained.set({ cause: wal.cause }, wal.retainedBytes);
	const optional: readonly (readonly [name: string, help: string, value: number | null, divisor: number])[] = [
		["sluice_server_unacknowledged_wal_bytes", "WAL above the slot's confirmed position", wal.unacknowledgedBytes, 1],
		["sluice_server_retained_wal_bytes_per_second", "Growth over the last minutes", wal.bytesPerSecond, 1],
		["sluice_server_wal_time_left_seconds", "Until the server gives the slot up", wal.timeLeftMs, 1_000],
		["sluice_server_catalog_xmin_age", "Transactions since the oldest that the slot pins", wal.catalogXminAge, 1],
		[
			"sluice_server_oldest_transaction_seconds",
			"Age of the oldest open transaction that has an id",
			wal.oldestTransaction?.ageMs ?? null,
			1_000,
		],
	];
	for (const [name, help, value, divisor] of optional) {
		if (value !== null) {
			gauge(registry, name, help, value / divisor);
		}
	}
}

function addLanes(registry: Registry, status: Status): void {
	const labelNames = ["lane"] as const;
	const registers = [registry];
	const running = new Gauge({
		name: "sluice_lane_state",
		help: "1 for the state of the lane",
		labelNames: ["lane", "state"],
		registers,
	});
	const restarts = new Counter({
		name: "sluice_lane_restarts_total",
		help: "Restarts of a lane",
		labelNames,
		registers,
	});
	const cpu = new Counter({ name: "sluice_lane_cpu_seconds_total", help: "CPU time of a lane", labelNames, registers });
	const written = new Gauge({
		name: "sluice_lane_written_batch",
		help: "Highest batch that the lane has written",
		labelNames,
		registers,
	});
	const other = new Gauge({
		name: "sluice_lane_gauge",
		help: "What a lane reports about itself",
		labelNames: ["lane", "name"],
		registers,
	});
	for (const lane of status.lanes) {
		const id = String(lane.id);
		running.set({ lane: id, state: lane.state }, 1);
		restarts.inc({ lane: id }, lane.restarts);
		cpu.inc({ lane: id }, lane.cpuMs / 1_000);
		written.set({ lane: id }, lane.writtenBatch);
		for (const [name, value] of Object.entries(lane.gauges)) {
			other.set({ lane: id, name }, value);
		}
	}
}

function gauge(registry: Registry, name: string, help: string, value: number): void {
	new Gauge({ name, help, registers: [registry] }).set(value);
}

function counter(registry: Registry, name: string, help: string, value: number): void {
	new Counter({ name, help, registers: [registry] }).inc(value);
}
