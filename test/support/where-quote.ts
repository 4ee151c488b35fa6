/** A text as a constant of SQL. Owns nothing else. Called by the generators of conditions. */

export function quote(text: string): string {
	return text.includes("\\")
		? `E'${text.replaceAll("\\", "\\\\").replaceAll("'", "''")}'`
		: `'${text.replaceAll("'", "''")}'`;
}
