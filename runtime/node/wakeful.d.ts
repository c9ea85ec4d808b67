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

  /** `500ms`, `30s`, `5m`, `6h`, `1d`, sums such as `1h30m`; or a number of milliseconds. */
  export type Duration = string | number;

  /** What can be sent: what JSON can hold, or bytes. */
  export type Payload = unknown;

  export interface DeliveryOptions {
    /** It runs no earlier than after this. */
    delay?: Duration;
    /** It runs no earlier than at this time; instead of `delay`. */
    at?: Date;
    /** Takes the place of what the `ordering_key` of triggers would find. */
    key?: string | number;
    /** What was sent with the same one within 24 hours is a repetition and is left out. */
    dedup?: string | number;
  }

  export interface PublishOptions extends DeliveryOptions {
    /** CloudEvents `id`: an event with the same `source` and `id` within 24 hours is a repetition. */
    id?: string;
    /** CloudEvents `source`. */
    source?: string;
    /** CloudEvents `subject`. */
    subject?: string;
    /** CloudEvents `time`. */
    time?: Date | string;
    /** The media type of the data; JSON, for bytes `application/octet-stream`, by default. */
    contentType?: string;
    /** CloudEvents extension attributes, and `dataschema`. */
    extensions?: Record<string, string | boolean | number | Date | ArrayBufferView | null | undefined>;
  }

  /** An event for a topic, with its own options. */
  export interface Message extends PublishOptions {
    topic: string;
    data?: Payload;
  }

  /** A CloudEvent; its `type` is the topic. Further attributes are extensions. */
  export interface CloudEventInit {
    type: string;
    specversion?: string;
    id?: string;
    source?: string;
    subject?: string | null;
    time?: string | Date;
    datacontenttype?: string;
    dataschema?: string;
    data?: unknown;
    /** The data in base64, instead of `data`. */
    data_base64?: string;
    [extension: string]: unknown;
  }

  export interface Published {
    /** The event's id. */
    id: string;
    /** Deliveries that were left out as repetitions. */
    duplicates: number;
  }

  export interface PublishedList {
    /** The events' ids, in their order. */
    ids: string[];
    /** Deliveries that were left out as repetitions. */
    duplicates: number;
  }

  /** Hands in an event. It is on disk when the promise resolves. */
  export function publish(topic: string, data?: Payload, options?: PublishOptions): Promise<Published>;
  /** Hands in an event. */
  export function publish(event: Message | CloudEventInit, options?: PublishOptions): Promise<Published>;
  /** Hands in up to 1,000 events: all of them or none. The options are for those without their own. */
  export function publish(events: readonly (Message | CloudEventInit)[], options?: PublishOptions): Promise<PublishedList>;

  export interface InvokeOptions {
    /** The export to call, when it is not the default one. */
    handler?: string;
    /** The media type of the payload; JSON, for bytes `application/octet-stream`, by default. */
    contentType?: string;
    wait?: true;
  }

  export interface InvokeLaterOptions extends DeliveryOptions {
    handler?: string;
    contentType?: string;
    /** The call is an event, on disk when the promise resolves, that is tried again when it fails. */
    wait: false;
  }

  /** Calls a function of the project and waits for its result. An error of it is an `InvokeError`. */
  export function invoke<T = unknown>(name: string, payload?: Payload, options?: InvokeOptions): Promise<T>;
  /** Has a function of the project called. */
  export function invoke(name: string, payload: Payload, options: InvokeLaterOptions): Promise<Published>;

  /** Effects of one `context.once`. They are applied when the attempt succeeds. */
  export interface Once {
    publish(topic: string, data?: Payload, options?: PublishOptions): Promise<void>;
    publish(event: Message | CloudEventInit | readonly (Message | CloudEventInit)[], options?: PublishOptions): Promise<void>;
    /** The call will be made; nobody waits for its result. */
    invoke(name: string, payload?: Payload, options?: DeliveryOptions & { handler?: string; contentType?: string }): Promise<void>;
    readonly bucket: ((name: string) => OnceBucket) & { readonly [name: string]: OnceBucket };
  }

  /** With a database: what goes through `db` is committed with it. */
  export interface OnceWithDatabase extends Once {
    readonly db: Queries;
  }

  export interface OnceBucket {
    readonly name: string;
    /** Stores the bytes; the object is there when the attempt has succeeded. Not with a database. */
    put(
      key: string,
      body: Upload,
      options?: { contentType?: string; metadata?: Record<string, string> },
    ): Promise<{ key: string; etag: string; size: number }>;
    remove(key: string): Promise<void>;
  }

  export interface OnceOptions {
    /** Of a batch: the event whose success the effects belong to. */
    event?: EventOrRecord;
  }

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
    /** 1 for the first start of this run; of a batch that of the event that was started most often. */
    readonly attempt: number;
    /**
     * The same for every attempt of one delivery: give it to what must happen only once. In a batch
     * each event has its own: `keyOf`.
     */
    readonly idempotencyKey: string;
    /** Whether the handler has got several events. */
    readonly isBatch: boolean;
    /** The idempotency key of one event: of a batch, or the one there is. */
    keyOf(event: EventOrRecord): string;
    /** Which start this is for one event: of a batch, or the one there is. */
    attemptOf(event: EventOrRecord): number;
    /**
     * Effects that apply once: gathered while `work` runs, applied when the attempt succeeds. With
     * `db`, `work` is not run again once its transaction is committed: later attempts get its result.
     */
    once<T>(name: string, work: (tx: Once) => Promise<T> | T): Promise<T>;
    once<T>(name: string, options: OnceOptions & { db: string }, work: (tx: OnceWithDatabase) => Promise<T> | T): Promise<T>;
    once<T>(name: string, options: OnceOptions, work: (tx: Once) => Promise<T> | T): Promise<T>;
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

  /** An event of a batch, the record of Lambda style that was made of it, or its id. */
  export type EventOrRecord =
    | { readonly id: string }
    | { readonly messageId: string }
    | { readonly eventID: string }
    | { readonly Sns: object }
    | { readonly responseElements: object }
    | string;

  /** The third argument of `fetch`, `scheduled` and `queue` of a default export. */
  export interface WebContext extends Context {
    /** The captures of the route's path. */
    readonly params: Record<string, string>;
    /** The address of the caller; undefined for events. */
    readonly ip: string | undefined;
    /** Of Workers; always empty. */
    props: Record<string, unknown>;
    /** Of Workers; without effect. */
    passThroughOnException(): void;
  }

  /** What handlers of batches get as their second argument. */
  export interface BatchContext<T = unknown> extends Context {
    readonly isBatch: true;
    /**
     * Handles the events one by one, or `concurrency` at a time. Return its result: it names the
     * events whose handling threw, and only those are tried again.
     */
    each(work: (event: Event<T>) => unknown, options?: { concurrency?: number }): Promise<BatchResult>;
  }

  /** What a handler of a batch returns when some of its events failed. */
  export interface BatchResult {
    batchItemFailures: {
      /** The `id` of the event. */
      itemIdentifier: string;
      error?: { name: string; message: string; stack?: string; retry?: { never: true } | { afterMs: number } };
    }[];
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
    /** Extension attributes. */
    readonly [attribute: string]: unknown;
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

  /** A function that was invoked failed. `cause` is its error, with its stack. */
  export class InvokeError extends WakefulError {
    readonly functionName: string;
    /** How it failed, such as `user_error` or `timeout`. */
    readonly kind: string;
    /** Its run. */
    readonly runId: string;
    readonly cause: Error;
  }

  /** Thrown by a handler of an event: trying again is of no use, it is a dead letter at once. */
  export class NonRetriableError extends Error {
    constructor(message?: string, options?: { cause?: unknown });
    readonly retryable: false;
  }

  /** Thrown by a handler of an event: it is tried again, but not before this time. */
  export class RetryAfterError extends Error {
    constructor(message: string, after: Duration | Date, options?: { cause?: unknown });
    readonly retryAfter: Date;
  }
}
