/**
 * nginx for tests: finds one, or unpacks the distribution's package without installing it, and runs it with the
 * configuration that docker/nginx gives to users. Owns the process and its directory. Called by test/clients.
 */

import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { access, chmod, mkdir, mkdtemp, readdir, readFile, writeFile } from "node:fs/promises";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { RUN_DIRECTORY_VARIABLE } from "./run-directory.ts";
import { type TemporaryDirectory, temporaryDirectory } from "./temporary-directory.ts";
import { CERTIFICATE_PATH, KEY_PATH } from "./tls.ts";
import { waitFor } from "./wait-for.ts";

const run = promisify(execFile);
const FETCH_TIMEOUT_MS = 30_000;
const CONFIGURATION = new URL("../../docker/nginx/sluice.conf", import.meta.url);

export type NginxSearch = { readonly binary: string } | { readonly reason: string };

/** `SLUICE_TEST_NGINX`, one on the PATH, or one from the distribution's package, unpacked for this run. */
export async function findNginx(): Promise<NginxSearch> {
	const given = process.env["SLUICE_TEST_NGINX"];
	if (given !== undefined && given !== "") {
		await run(given, ["-v"]);
		return { binary: given };
	}
	for (const binary of ["nginx", "/usr/sbin/nginx"]) {
		if (await runs(binary)) {
			return { binary };
		}
	}
	try {
		return { binary: await unpackPackage() };
	} catch {
		return { reason: "no nginx on the PATH or in SLUICE_TEST_NGINX, and its package cannot be had" };
	}
}

async function runs(binary: string): Promise<boolean> {
	return run(binary, ["-v"]).then(
		() => true,
		() => false,
	);
}

/** Nothing is installed and no list of the machine's own package manager is changed. */
async function unpackPackage(): Promise<string> {
	const directory = await mkdtemp(join(process.env[RUN_DIRECTORY_VARIABLE] ?? tmpdir(), "sluice-nginx-"));
	const options = { cwd: directory, timeout: FETCH_TIMEOUT_MS };
	const download = (more: readonly string[]) => run("apt-get", [...more, "-q", "download", "nginx"], options);
	await download([]).catch(async () => {
		await mkdir(join(directory, "lists", "partial"), { recursive: true });
		const own = ["-o", `Dir::State::lists=${join(directory, "lists")}`];
		await run("apt-get", [...own, "-q", "update"], options);
		await download(own);
	});
	const file = (await readdir(directory)).find((name) => name.endsWith(".deb"));
	if (file === undefined) {
		throw new Error("the package manager left no package");
	}
	await run("dpkg", ["-x", file, "unpacked"], options);
	const binary = join(directory, "unpacked", "usr", "sbin", "nginx");
	await access(binary);
	await run(binary, ["-v"]);
	return binary;
}

export class Nginx {
	readonly port: number;
	/** HTTP/2 over TLS, with the certificate of tls.ts. */
	readonly securePort: number;
	readonly #directory: TemporaryDirectory;
	readonly #child: ChildProcess;

	private constructor(port: number, securePort: number, directory: TemporaryDirectory, child: ChildProcess) {
		this.port = port;
		this.securePort = securePort;
		this.#directory = directory;
		this.#child = child;
	}

	get shapeUrl(): string {
		return `http://127.0.0.1:${this.port}/v1/shape`;
	}

	/** @param upstreamPort on 127.0.0.1 */
	static async start(binary: string, upstreamPort: number): Promise<Nginx> {
		const directory = await temporaryDirectory("nginx");
		await chmod(directory.path, 0o755);
		const port = await freePort();
		const securePort = await freePort();
		const ports = { port, securePort, upstreamPort };
		await writeFile(join(directory.path, "sluice.conf"), await configuration(directory.path, ports));
		await writeFile(join(directory.path, "nginx.conf"), mainConfiguration(directory.path));
		const child = spawn(binary, ["-p", directory.path, "-c", join(directory.path, "nginx.conf")], {
			stdio: ["ignore", "ignore", "pipe"],
		});
		let errors = "";
		child.stderr?.on("data", (chunk: Buffer) => {
			errors = (errors + chunk.toString("utf8")).slice(-10_000);
		});
		const nginx = new Nginx(port, securePort, directory, child);
		await waitFor("nginx to answer", async () => {
			if (child.exitCode !== null) {
				throw new Error(`nginx ended with ${child.exitCode}: ${errors}`);
			}
			return (await fetch(`http://127.0.0.1:${port}/v1/health`)).status < 500;
		});
		return nginx;
	}

	async stop(): Promise<void> {
		if (this.#child.exitCode === null) {
			const exited = once(this.#child, "exit");
			this.#child.kill("SIGTERM");
			await exited;
		}
		await this.#directory.remove();
	}
}

/** The users' file with the three addresses changed that its first lines say to change, and what they say of TLS. */
async function configuration(
	directory: string,
	{ port, securePort, upstreamPort }: { port: number; securePort: number; upstreamPort: number },
): Promise<string> {
	let text = await readFile(CONFIGURATION, "utf8");
	const secure = `listen 127.0.0.1:${securePort} ssl http2; ssl_certificate ${CERTIFICATE_PATH}; ssl_certificate_key ${KEY_PATH};`;
	const changes = [
		["server 127.0.0.1:3000;", `server 127.0.0.1:${upstreamPort};`],
		["listen 8080;", `listen 127.0.0.1:${port}; ${secure}`],
		["/var/cache/nginx/sluice", join(directory, "cache")],
	] as const;
	for (const [old, replacement] of changes) {
		if (text.split(old).length !== 2) {
			throw new Error(`docker/nginx/sluice.conf does not hold "${old}" once`);
		}
		text = text.replace(old, replacement);
	}
	return text;
}

/** What the machine's own nginx.conf holds for users. One process, so that its end is the end of all. */
function mainConfiguration(directory: string): string {
	const paths = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
	return `
		daemon off;
		master_process off;
		pid ${directory}/nginx.pid;
		error_log stderr warn;
		events { worker_connections 1024; }
		http {
			access_log off;
			${paths.map((name) => `${name}_temp_path ${directory}/${name};`).join("\n\t\t\t")}
			include ${directory}/sluice.conf;
		}`;
}

async function freePort(): Promise<number> {
	const server = createServer();
	server.listen(0, "127.0.0.1");
	await once(server, "listening");
	const { port } = server.address() as AddressInfo;
	server.close();
	await once(server, "close");
	return port;
}
