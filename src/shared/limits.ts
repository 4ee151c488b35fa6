/**
 * Every fixed limit, with its unit in its name and the reason beside it. What an operator may change is in
 * config.ts. Called by every room; the relations between limits are asserted by test/unit/shared/limits.test.ts.
 */

const KIB = 1024;
const MIB = 1024 * KIB;

/** The largest replication message believed from its header. PostgreSQL's own limit for a field is 1 GiB. */
export const FRAME_BYTES_MAX = 256 * MIB;

/** One shared segment of the window. A batch never crosses a segment. */
export const SEGMENT_BYTES = 4 * MIB;

/** A batch is closed at this size: a lane works on one while main fills the next. */
export const BATCH_BYTES_MAX = 1 * MIB;

/**
 * A batch is closed at this age, also while lanes are busy: they group the writes of several batches, so small ones
 * cost little. When a lane waits, it gets what there is at the next commit, whatever the age.
 */
export const BATCH_AGE_MAX_MS = 5;

/** Proactive keepalive: never rarer than this, whatever the server's timeout. */
export const KEEPALIVE_INTERVAL_MAX_MS = 15_000;

/** The link: each rung of the handshake but slot creation; the farewell; distance between acknowledgements. */
export const LINK_STEP_TIMEOUT_MS = 30_000;
export const LINK_CLOSE_TIMEOUT_MS = 1_000;
export const ACKNOWLEDGE_SPACING_MS = 10;
/** One read from the socket: what a full receive queue gives at once, and still in the processor's cache. */
export const READ_BUFFER_BYTES = 256 * KIB;
/** Reading while behind (main/link/read-pacing.ts): rest this long, after this many reads this close together. */
export const READ_GATHER_MS = 1;
export const READ_GATHER_SOON_MS = 10;
export const READ_GATHER_STREAK = 4;
/** A rest that brings less was in vain; several of them end the resting. */
export const READ_GATHER_WORTH_BYTES = 512;

/** A lane syncs what it wrote and moves its durable LSN this often. */
export const CHECKPOINT_INTERVAL_MS = 1_000;
/** A long checkpoint is followed by a rest of a multiple of its duration (workers/lane/checkpoint-pacing.ts), up to this. */
export const CHECKPOINT_REST_MAX_MS = 5_000;

/** Budget for one batch that a lane reports as not processable now; starts anew at each wait for readiness or for room. */
export const BATCH_RETRY_BUDGET_MS = 10 * 60_000;
/** Between two tries: at first, and after so long, when what is in the way is likely to stay a while. */
export const BATCH_RETRY_DELAY_MS = 50;
export const BATCH_RETRY_SELDOM_AFTER_MS = 10_000;
export const BATCH_RETRY_SELDOM_DELAY_MS = 1_000;

/** Slots of the shared shape table (128 bytes each). */
export const SHAPES_MAX = 65_536;
export const LANES_MAX = 64;
export const HTTP_THREADS_MAX = 64;

/** Encoded entries that a lane holds before it writes them, even inside a batch. */
export const LANE_BUFFER_BYTES_MAX = 32 * MIB;
/** Encoded entries at which a group of batches is written, at the end of a batch. */
export const LANE_GROUP_BYTES_MAX = LANE_BUFFER_BYTES_MAX / 2;
/** Longest rest between two flushes (workers/lane/flush-pacing.ts): when nothing is queued, and when something is. */
export const LANE_FLUSH_WAIT_MAX_MS = 50;
export const LANE_FLUSH_WAIT_BUSY_MS = 250;
/** What a lane's group may keep of main's window. */
export const LANE_GROUP_WINDOW_FRACTION = 0.25;
/** A log that the disk refuses to open for this long, other than for too many open files, costs its shape. */
export const LOG_OPEN_PATIENCE_MS = 5_000;
/** When a lane takes up an open transaction it tries to open the logs that failed so often, with this between. */
export const LOG_OPEN_TRIES_MAX = 20;
export const LOG_OPEN_RETRY_MS = 100;

/** Files that a lane's checkpoint syncs at a time: some of the process's four file threads stay free for readers. */
export const LANE_SYNC_CONCURRENCY = 2;

/**
 * Following another daemon's data directory: how often we look for news, and at how many logs before requests get their
 * turn; how often we try to take its place.
 */
export const FOLLOW_INTERVAL_MS = 200;
export const FOLLOW_LOGS_PER_TURN = 256;
export const TAKEOVER_INTERVAL_MS = 100;

/**
 * While we wait for the stream's advisory lock its holder is looked at this often. A daemon's lock session is asked
 * something every 10 s and given 10 s to answer: one that is silent for longer is gone.
 */
export const LOCK_CHECK_INTERVAL_MS = 10_000;
export const LOCK_HOLDER_SILENCE_MS = 25_000;

/** Transactions remembered per relation for the splice's hole check (replication.md 5.4). */
export const SPLICE_RING_TRANSACTIONS = 16_384;

/** HTTP: the request body of a POST, the URL with its query, headers. */
export const HTTP_BODY_BYTES_MAX = 8_000_000;
/** All bodies that one HTTP thread holds at a time; beyond it a 503. */
export const HTTP_BODIES_BYTES_MAX = 64 * MIB;
/** A body must have come whole after this long. The rest of a refused one is received and dropped for a moment. */
export const HTTP_BODY_WAIT_MS = 30_000;
export const HTTP_BODY_DRAIN_MS = 2_000;
export const HTTP_HEADER_BYTES_MAX = 64 * KIB;
/** Requests of one connection; the last one's response says `connection: close`, so that connections spread anew over threads. */
export const HTTP_CONNECTION_REQUESTS_MAX = 10_000;
/** How often connections are looked at that are late with their headers or bodies. */
export const HTTP_CONNECTION_CHECK_MS = 5_000;
/** One read from a log file on its way to a socket. */
export const HTTP_READ_BYTES = 256 * KIB;
/** Admission: concurrent requests that may create a shape, and that read one. */
export const HTTP_INITIAL_REQUESTS_MAX = 300;
export const HTTP_EXISTING_REQUESTS_MAX = 10_000;
/** Connections that wait to be accepted. Node's 511 made 2000 clients that came at once wait a second for a second SYN. */
export const HTTP_BACKLOG = 4_096;
/** Pairs in a query string: PARAMS_MAX parameters and room for the protocol's own. */
export const HTTP_QUERY_PAIRS_MAX = 2_000;
/** A response whose reader takes nothing for this long is cut. */
export const HTTP_WRITE_STALL_MS = 60_000;
/** Stack readiness wait of the Shape API. */
export const HTTP_READINESS_WAIT_MS = 5_000;
/** How long a request waits for the registrar to find or create its shape (a snapshot must start). */
export const HTTP_RESOLVE_WAIT_MS = 60_000;
/** How long a request waits for the next snapshot chunk, or for a log that is being opened. */
export const HTTP_PREPARE_WAIT_MS = 30_000;
/** Time to receive a whole request, and its headers; idle time of a kept connection (above a proxy's usual 60 s). */
export const HTTP_REQUEST_TIMEOUT_MS = 60_000;
export const HTTP_HEADERS_TIMEOUT_MS = 20_000;
export const HTTP_KEEP_ALIVE_MS = 65_000;
/** A stop ends what still runs after this. */
export const HTTP_STOP_GRACE_MS = 1_500;
/** Bodies below this size go out as they are. */
export const HTTP_COMPRESS_BYTES_MIN = KIB;
/**
 * Compressed bodies under way at a time, in the process. Each has its memory, and its steps (a millisecond or two) share
 * the process's four file threads with lanes' syncs and with readers.
 */
export const HTTP_COMPRESSIONS_MAX = 16;
/** Shapes that one HTTP thread remembers, by definition and by handle. */
export const HTTP_DIRECTORY_ENTRIES_MAX = 20_000;
/** Reads shared between waiters at one offset: kept this long, this many bytes. */
export const HTTP_SHARED_READ_TTL_MS = 500;
export const HTTP_SHARED_READ_BYTES_MAX = 16 * MIB;
/** Log files that one HTTP thread keeps open for the next reader, and for how long without one. */
export const HTTP_OPEN_FILES_MAX = 256;
export const HTTP_OPEN_FILES_IDLE_MS = 2_000;
/** SSE: a comment after this silence; end of the stream after this. */
export const HTTP_SSE_KEEP_ALIVE_MS = 21_000;
export const HTTP_SSE_LIFETIME_MS = 60_000;

/** A shape whose reader waits counts as read again this often; one read within so many seconds is in use and never expires. */
export const HTTP_READ_MARK_INTERVAL_MS = 1_000;
export const SHAPE_IN_USE_SECONDS = 5;
/** Shapes of an earlier run are not dropped for not being read until their readers had this long to come back. */
export const SHAPE_RETURN_SECONDS = 60;
/** How often the registrar looks for shapes that nobody reads, and writes down when they were read. */
export const SHAPE_EXPIRY_LOOK_MS = 2_000;
export const SHAPE_READS_STORED_SECONDS = 60;

/** One subset response, which is made in memory; and all that an HTTP thread holds until their readers have taken them. */
export const SUBSET_BYTES_MAX = 16 * MIB;
export const HTTP_SUBSETS_BYTES_MAX = 128 * MIB;
/** Subset queries that run at a time (the snapshot pool runs eight tasks: first data must not wait), and that wait. */
export const SUBSET_QUERIES_MAX = 4;
export const SUBSET_QUEUE_MAX = 256;
/** Of one subset query. */
export const SUBSET_QUERY_TIMEOUT_MS = 30_000;

/** Longest `where` text, wrapped, that the parser takes. */
export const WHERE_BYTES_MAX = 65_536;
/** Nesting of a `where`: deeper trees are refused, so that no recursion overflows. */
export const WHERE_DEPTH_MAX = 200;
/** Levels of a checked condition: comparing rows makes two of each field, on top of what is nested in the text. */
export const WHERE_TREE_DEPTH_MAX = 500;
export const PARAMS_MAX = 1_000;
/** All parameter values of one `where` together, each as often as it is used: they end up in its SQL text. */
export const PARAMS_BYTES_MAX = 1 * MIB;
/** Elements of all array constants of one `where`. */
export const WHERE_ELEMENTS_MAX = 50_000;
/** A checked tree, once written out: forms that repeat an operand (BETWEEN, ANY) must not multiply it out. */
export const WHERE_TREE_CHARACTERS_MAX = 8 * MIB;
/** Characters of a LIKE pattern: a row costs at most its own length times this. */
export const LIKE_PATTERN_CHARACTERS_MAX = 4_096;
/** A text that a `where` computes for a row: beyond it the row cannot be evaluated. PostgreSQL's own limit is 1 GiB. */
export const WHERE_TEXT_CHARACTERS_MAX = 64 * MIB;
/** What repeat, lpad and rpad of a `where` may be asked for: a row must not be able to grow without bound. */
export const WHERE_PADDING_CHARACTERS_MAX = 4_096;
/** Digits of a numeric constant once written out; `1e131071` in a list of thousands would not be bounded otherwise. */
export const NUMERIC_DIGITS_MAX = 16_384;
/** Index keys that one condition may multiply out to (`a IN (…) AND b IN (…)`); the rest is evaluated per row. */
export const INDEX_KEYS_MAX = 4_096;
/** PostgreSQL's NAMEDATALEN - 1. */
export const IDENTIFIER_BYTES_MAX = 63;
/** Nesting of a JSON value that is evaluated, so that no recursion overflows. A row with a deeper one is not inside. */
export const JSON_DEPTH_MAX = 1_024;
/** What exponents may add to the numbers of one JSON or array constant once they are written out (`[1e9999, …]`). */
export const WRITTEN_OUT_CHARACTERS_MAX = 1 * MIB;
/** Characters of a regular expression's pattern, and states of the machine that it becomes once repetitions are written out. */
export const REGEX_PATTERN_CHARACTERS_MAX = 1_024;
export const REGEX_STATES_MAX = 4_096;
/** Sets of states that a machine remembers with what follows them; beyond it they are forgotten and made again. */
export const REGEX_REMEMBERED_SETS_MAX = 512;

/**
 * The probe (main/progress/probe.ts): late after this long in one stage; unseen for longer than this the link is made
 * anew, and each time that does not help after twice as long, up to the maximum.
 */
export const PROBE_LATE_MS = 15_000;
export const PROBE_RECONNECT_AFTER_MS = 60_000;
export const PROBE_RECONNECT_MAX_MS = 3_600_000;

/** Retained WAL (main/progress/retained-wal.ts): what its slope is taken over, when it is told, and how often. */
export const RETAINED_WAL_WINDOW_MS = 5 * 60_000;
export const RETAINED_WAL_WARN_BYTES = 1024 * MIB;
export const RETAINED_WAL_WARN_LEFT_MS = 30 * 60_000;
export const RETENTION_WARN_INTERVAL_MS = 10 * 60_000;
/** A quarter of autovacuum_freeze_max_age's default: the catalogue is bloated long before. */
export const CATALOG_XMIN_AGE_WARN = 50_000_000;
