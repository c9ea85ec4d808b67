/**
 * The `wakeful` module: what functions reach of their project. Found by `require('wakeful')` and
 * `import … from 'wakeful'` in every function, with nothing installed.
 */
declare module 'wakeful' {
  import type { Readable } from 'node:stream';

  /** A value that can be bound to a placeholder (`?`) of SQL. */
  export type SqlParam = string | number | bigint | boolean | null | Date | ArrayBufferView | ArrayBuffer;
  /** A value of a column: integers beyond 2^53 come as bigint, blobs as Buffer, infinities as such. */
  export type SqlValue = string | number | bigint | boolean | null | Buffer;
  export type SqlParams = readonly SqlParam[] | Readonly<Record<string, SqlParam>>;
  export type Row = Record<string, SqlValue>;

  export interface RunResult {
    /** Rows that the statement inserted, changed or deleted. */
    changes: number;
    lastInsertRowid: number | bigint;
  }

  export interface Queries {
    /** The name of the database in `wakeful.toml`. */
    readonly database: string;
    /** All rows. */
    query<T = Row>(sql: string, params?: SqlParams): Promise<T[]>;
    /** The first row, or undefined. */
    get<T = Row>(sql: string, params?: SqlParams): Promise<T | undefined>;
    /** For statements that change something. */
    run(sql: string, params?: SqlParams): Promise<RunResult>;
    /** One or several statements without parameters, such as a schema. */
    exec(sql: string): Promise<void>;
    /** Rows; every value in the template is a bound parameter, never part of the text. */
    sql<T = Row>(strings: TemplateStringsArray, ...values: SqlParam[]): Promise<T[]>;
  }

  export interface Database extends Queries {
    /**
     * Commits what the callback did once it has resolved, and rolls back when it throws. Only
     * what goes through `tx` belongs to the transaction.
     */
    transaction<T>(work: (tx: Queries) => Promise<T> | T): Promise<T>;
  }

  /** `db.shop` or `db('shop')`: a database that `access` allows. */
  export const db: ((name: string) => Database) & { readonly [name: string]: Database };

  export interface ObjectProperties {
    readonly key: string;
    /** Bytes of the whole object. */
    readonly size: number;
    readonly contentType: string | undefined;
    readonly etag: string;
    readonly modified: Date | undefined;
    readonly metadata: Readonly<Record<string, string>>;
  }

  /** An object that is being read; its bytes can be read once, in one of these ways. */
  export interface BucketObject extends ObjectProperties, AsyncIterable<Buffer> {
    readonly body: Readable;
    buffer(): Promise<Buffer>;
    arrayBuffer(): Promise<ArrayBuffer>;
    text(): Promise<string>;
    json<T = unknown>(): Promise<T>;
  }

  export type Upload =
    | string
    | ArrayBufferView
    | ArrayBuffer
    | Blob
    | Response
    | Request
    | BucketObject
    | AsyncIterable<string | Uint8Array>;

  export interface ListOptions {
    prefix?: string;
    /** Objects after this key, in the order of their bytes. */
    after?: string;
    /** Objects of one page. */
    limit?: number;
  }

  export interface ListedObject {
    key: string;
    size: number;
    etag: string;
    modified: Date | undefined;
  }

  export interface Bucket {
    readonly name: string;
    /** The object, or null when there is none. `range`: the last byte is included. */
    get(key: string, options?: { range?: readonly [number, number] | { start?: number; end?: number } }): Promise<BucketObject | null>;
    /** Its properties without its bytes, or null. */
    head(key: string): Promise<ObjectProperties | null>;
    /** Writes an object. It is visible, and wakes functions, once all of it is stored. */
    put(
      key: string,
      body: Upload,
      options?: { contentType?: string; metadata?: Record<string, string> },
    ): Promise<{ key: string; etag: string; size: number }>;
    /** Whether there was one to remove. */
    remove(key: string): Promise<boolean>;
    /** One page; `next` goes into `after` of the following one. */
    page(options?: ListOptions | string): Promise<{ objects: ListedObject[]; next: string | undefined }>;
    /** All objects: `for await (const object of bucket.photos.list('2026/'))`. */
    list(options?: ListOptions | string): AsyncGenerator<ListedObject, void, undefined>;
  }

  /** `bucket.photos` or `bucket('photos')`: a bucket that `access` allows. */
  export const bucket: ((name: string) => Bucket) & { readonly [name: string]: Bucket };

  export interface Logger {
    debug(message: string, fields?: object): void;
    info(message: string, fields?: object): void;
    warn(message: string, fields?: object): void;
    error(message: string, fields?: object): void;
    /** A logger whose lines carry these fields too. */
    child(fields: object): Logger;
  }

  /** Log lines with fields. They belong to the attempt that writes them. */
  export const log: Logger;

  /** What handlers of events get as their second argument. */
  export interface Context {
    /** The id of the event; of a request the id of its run. */
    readonly id: string;
    readonly runId: string;
    /** 1 for the first start of this run. */
    readonly attempt: number;
    /** The same for every attempt of one delivery: give it to what must happen only once. */
    readonly idempotencyKey: string;
    readonly deadline: Date;
    getRemainingTimeInMillis(): number;
    /** Aborted when the time is over, the caller went away, or the server stops. */
    readonly signal: AbortSignal;
    readonly log: Logger;
    readonly functionName: string;
    readonly functionVersion: string;
    /** Work that goes on after the answer: the worker is not ended before it is done. */
    waitUntil(promise: PromiseLike<unknown>): void;
  }

  /** The context of the attempt that calls; null outside of any. */
  export function context(): Context | null;

  /** A CloudEvent with its data: parsed JSON, or a Buffer. */
  export interface Event<T = unknown> {
    readonly specversion: '1.0';
    readonly id: string;
    readonly source: string;
    readonly type: string;
    readonly subject?: string;
    readonly time?: string;
    readonly datacontenttype?: string;
    readonly data: T;
  }

  /** `data` of `wakeful.bucket.created`, `.changed` and `.removed`. */
  export interface BucketData {
    bucket: string;
    key: string;
    size?: number;
    etag?: string;
    contentType?: string;
    sequencer: string;
    versionId?: string;
    operation: 'put' | 'multipart' | 'copy' | 'delete';
  }

  /**
   * A value of a column in an event, which is JSON as it is kept and forwarded: integers beyond
   * 2^53 are `$int`, bytes `$bytes` in base64, infinities `$real` (give them to `BigInt`,
   * `Buffer.from(…, 'base64')`, `Number`); `$omitted` is the length of a value that was left out
   * for its size: read it from the database.
   */
  export type EventValue =
    | string
    | number
    | boolean
    | null
    | { $int: string }
    | { $bytes: string }
    | { $real: 'Infinity' | '-Infinity' }
    | { $omitted: number };
  export type EventRow = Record<string, EventValue>;

  /** `data` of the change of a row. */
  export interface RowData<T = EventRow> {
    database: string;
    table: string;
    operation: 'insert' | 'update' | 'delete';
    key: EventRow;
    before: T | null;
    after: T | null;
  }

  /** `data` of a tick of a schedule. */
  export interface ScheduleData {
    scheduledTime: string;
    lastTime?: string;
    schedule: string;
  }

  export type ErrorCode = 'not_found' | 'denied' | 'invalid' | 'conflict' | 'too_large' | 'unavailable' | 'failed';

  /** Why the server did not do what was asked. */
  export class WakefulError extends Error {
    readonly code: ErrorCode;
    /** The operation, such as `db.query`. */
    readonly op: string;
  }
}
