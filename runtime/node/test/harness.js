'use strict';
// A server's side of the protocol: starts a real worker process and speaks frames with it.

const { spawn } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const frames = require('../frames');

const BOOTSTRAP = path.join(__dirname, '..', 'bootstrap.js');
const WAIT = 10_000;

/** Writes files into a new folder: {name: text or bytes}. */
function project(t, files) {
  const root = fs.mkdtempSync(path.join(os.tmpdir(), 'wakeful-worker-'));
  t.after(() => fs.rmSync(root, { recursive: true, force: true }));
  for (const [name, content] of Object.entries(files)) {
    const file = path.join(root, name);
    fs.mkdirSync(path.dirname(file), { recursive: true });
    fs.writeFileSync(file, content);
  }
  return root;
}

function u32(value) {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

function sized(width, bytes) {
  const length = Buffer.alloc(width);
  length.writeUIntLE(bytes.length, 0, width);
  return Buffer.concat([length, bytes]);
}

function block(pairs, encoding = 'latin1') {
  return Buffer.from(pairs.map(([name, value]) => `${name}\0${value}\0`).join(''), encoding);
}

function parseBlock(bytes) {
  const parts = bytes.toString('latin1').split('\0');
  const headers = {};
  for (let i = 0; i + 1 < parts.length; i += 2) {
    const before = headers[parts[i]];
    headers[parts[i]] = before === undefined ? parts[i + 1] : [].concat(before, parts[i + 1]);
  }
  return headers;
}

class TestWorker {
  constructor(options = {}) {
    const env = { PATH: process.env.PATH, HOME: process.env.HOME, WAKEFUL_PROTOCOL: '1', ...options.env };
    this.child = spawn(process.execPath, [BOOTSTRAP], { stdio: ['ignore', 'pipe', 'pipe', 'pipe'], env });
    this.socket = this.child.stdio[3];
    this.stderr = '';
    this.child.stderr.on('data', (text) => (this.stderr += text));
    this.child.stdout.resume();
    this.exited = new Promise((resolve) => this.child.on('exit', (code, signal) => resolve({ code, signal })));
    this.exited.then(() => this.changed());
    this.frames = [];
    this.waiters = new Set();
    this.rest = Buffer.alloc(0);
    this.lastStream = 0;
    this.socket.on('error', () => {});
    this.socket.on('data', (bytes) => this.feed(bytes));
  }

  feed(bytes) {
    this.rest = Buffer.concat([this.rest, bytes]);
    while (this.rest.length >= 4 && this.rest.length >= 4 + this.rest.readUInt32LE(0)) {
      const end = 4 + this.rest.readUInt32LE(0);
      this.frames.push({ kind: this.rest[4], stream: this.rest.readUInt32LE(5), payload: this.rest.subarray(9, end) });
      this.rest = this.rest.subarray(end);
    }
    this.changed();
  }

  changed() {
    for (const check of [...this.waiters]) check();
  }

  /** Resolves with the first thing that `look` finds, now or later. */
  until(look, what) {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.waiters.delete(check);
        const seen = this.frames.map((frame) => `${frame.kind.toString(16)}/${frame.stream}/${frame.payload.length}`);
        reject(new Error(`waited in vain for ${what}; frames: ${seen.slice(-30).join(' ')}\n${this.stderr}`));
      }, WAIT);
      const check = () => {
        const found = look();
        if (found === undefined || found === null || found === false) return;
        clearTimeout(timer);
        this.waiters.delete(check);
        resolve(found);
      };
      this.waiters.add(check);
      check();
    });
  }

  frame(kind, stream = null, after = 0) {
    return this.until(
      () => this.frames.slice(after).find((one) => one.kind === kind && (stream === null || one.stream === stream)),
      `frame 0x${kind.toString(16)} of stream ${stream}`,
    );
  }

  raw(kind, stream, payload = Buffer.alloc(0)) {
    const head = Buffer.alloc(9);
    head.writeUInt32LE(payload.length + 5, 0);
    head[4] = kind;
    head.writeUInt32LE(stream, 5);
    return Buffer.concat([head, payload]);
  }

  send(kind, stream, payload) {
    this.socket.write(this.raw(kind, stream, payload));
  }

  async ready() {
    return JSON.parse((await this.frame(frames.READY)).payload);
  }

  /** Loads code and resolves with what LOADED says. */
  async load(root, settings = {}) {
    const all = {
      function: 'books', version: 'v1', entry: path.join(root, settings.file ?? 'index.js'), root, shownRoot: 'functions/books',
      style: null, handlers: [null], env: {}, timeoutMs: 30_000, memory: 256 * 1024 * 1024, scope: { project: 'p', environment: 'dev' },
      ...settings,
    };
    this.send(frames.LOAD, 0, Buffer.from(JSON.stringify(all)));
    return JSON.parse((await this.frame(frames.LOADED)).payload);
  }

  invokeFrame(what, options, rest, body) {
    const stream = options.stream ?? ++this.lastStream;
    const fixed = Buffer.alloc(20);
    fixed[0] = options.open ? 0 : frames.FLAG_END;
    fixed[1] = what;
    fixed.writeUInt16LE(options.handler ?? 0, 2);
    fixed.writeBigInt64LE(BigInt(options.run ?? 1234567890123456789n), 4);
    fixed.writeUInt32LE(options.attempt ?? 1, 12);
    fixed.writeUInt32LE(options.timeout ?? 30_000, 16);
    return { stream, bytes: this.raw(frames.INVOKE, stream, Buffer.concat([fixed, ...rest, body])) };
  }

  httpFrame(target = '/', options = {}) {
    const rest = [
      sized(1, Buffer.from(options.method ?? 'GET')),
      sized(2, Buffer.from(target, 'latin1')),
      sized(1, Buffer.from(options.remote ?? '127.0.0.1')),
      sized(2, block(Object.entries(options.params ?? {}), 'utf8')),
      sized(4, block(options.headers ?? [['host', 'localhost:8080']])),
    ];
    return this.invokeFrame(frames.HTTP, options, rest, Buffer.from(options.body ?? ''));
  }

  /** Starts a request; returns its stream. */
  http(target, options) {
    const { stream, bytes } = this.httpFrame(target, options);
    this.socket.write(bytes);
    return stream;
  }

  /** Starts an attempt for an event; returns its stream. */
  event(event, options = {}) {
    const { stream, bytes } = this.invokeFrame(frames.EVENT, options, [], Buffer.from(JSON.stringify(event)));
    this.socket.write(bytes);
    return stream;
  }

  /** Starts an attempt for several events: {run, attempt, event}; returns its stream. */
  batch(items, options = {}) {
    const parts = items.map(({ run, attempt = 1, event }) => {
      const head = Buffer.alloc(12);
      head.writeBigInt64LE(BigInt(run));
      head.writeUInt32LE(attempt, 8);
      return Buffer.concat([head, sized(4, Buffer.from(JSON.stringify(event)))]);
    });
    const { stream, bytes } = this.invokeFrame(frames.BATCH, options, [], Buffer.concat(parts));
    this.socket.write(bytes);
    return stream;
  }

  /** How the stream ended: {status, headers, body, whole} or {fail}. */
  async answer(stream) {
    const own = () => this.frames.filter((one) => one.stream === stream);
    await this.until(
      () =>
        own().some(
          (one) =>
            one.kind === frames.FAIL || one.kind === frames.END || (one.kind === frames.RESPONSE && one.payload[0] & frames.FLAG_END),
        ),
      `the end of stream ${stream}`,
    );
    const all = own();
    const fail = all.find((one) => one.kind === frames.FAIL);
    const opening = all.find((one) => one.kind === frames.RESPONSE);
    const result = { fail: fail && JSON.parse(fail.payload), frames: all };
    if (opening === undefined) return result;
    const headersEnd = 7 + opening.payload.readUInt32LE(3);
    const pieces = all.filter((one) => one.kind === frames.DATA).map((one) => one.payload);
    return {
      ...result,
      status: opening.payload.readUInt16LE(1),
      headers: parseBlock(opening.payload.subarray(7, headersEnd)),
      body: Buffer.concat([opening.payload.subarray(headersEnd), ...pieces]),
      text: Buffer.concat([opening.payload.subarray(headersEnd), ...pieces]).toString(),
    };
  }

  get(target, options) {
    return this.answer(this.http(target, options));
  }

  /** The result of an event, parsed. */
  async result(event, options) {
    const answer = await this.answer(this.event(event, options));
    if (answer.fail) return answer;
    return answer.text === '' ? undefined : JSON.parse(answer.text);
  }

  /** Log lines so far: {stream, level, text, fields}. */
  logs(stream = null) {
    return this.frames
      .filter((one) => one.kind === frames.LOG && (stream === null || one.stream === stream))
      .map(({ stream: of, payload }) => {
        const end = 5 + payload.readUInt32LE(1);
        const fields = payload.subarray(end).toString();
        return { stream: of, level: payload[0], text: payload.subarray(5, end).toString(), fields: fields === '' ? null : JSON.parse(fields) };
      });
  }

  /** CALL frames so far, parsed. */
  calls() {
    return this.frames
      .filter((one) => one.kind === frames.CALL)
      .map(({ stream, payload }) => {
        const opEnd = 6 + payload[5];
        const paramsEnd = opEnd + 4 + payload.readUInt32LE(opEnd);
        return {
          stream,
          flags: payload[0],
          attempt: payload.readUInt32LE(1),
          op: payload.subarray(6, opEnd).toString(),
          params: JSON.parse(payload.subarray(opEnd + 4, paramsEnd)),
          body: payload.subarray(paramsEnd),
        };
      });
  }

  /** The nth call (from 0), once it came. */
  call(n) {
    return this.until(() => this.calls()[n], `call ${n}`);
  }

  /** The first call, or how the attempt ended without one: {call} or what `answer` gives. */
  async callOrAnswer(stream) {
    const ended = (one) => one.stream === stream && (one.kind === frames.FAIL || one.kind === frames.RESPONSE);
    await this.until(() => this.calls().length > 0 || this.frames.some(ended), `a call, or the end of stream ${stream}`);
    const [call] = this.calls();
    return call === undefined ? this.answer(stream) : { call };
  }

  reply(stream, head, { body = '', flags = frames.FLAG_END } = {}) {
    this.send(frames.REPLY, stream, Buffer.concat([Buffer.from([flags]), sized(4, Buffer.from(JSON.stringify(head))), Buffer.from(body)]));
  }

  data(stream, bytes) {
    this.send(frames.DATA, stream, Buffer.from(bytes));
  }

  end(stream) {
    this.send(frames.END, stream);
  }

  credit(stream, bytes) {
    this.send(frames.CREDIT, stream, u32(bytes));
  }

  cancel(stream, reason) {
    this.send(frames.CANCEL, stream, Buffer.from([reason]));
  }

  stop() {
    this.child.kill('SIGKILL');
    return this.exited;
  }
}

/** A worker with code loaded; ended with the test. */
async function start(t, files, settings = {}) {
  const worker = new TestWorker(settings.spawn);
  t.after(() => worker.stop());
  await worker.ready();
  const root = project(t, typeof files === 'string' || Buffer.isBuffer(files) ? { [settings.file ?? 'index.js']: files } : files);
  const loaded = await worker.load(root, settings);
  return { worker, loaded, root };
}

module.exports = { TestWorker, start, project, frames, u32 };
