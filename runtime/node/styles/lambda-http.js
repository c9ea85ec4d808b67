'use strict';
// Requests and answers as API Gateway and function URLs exchange them with Lambda: payload format
// 2.0. The older one is in lambda-http1.js.

const { isUtf8 } = require('node:buffer');
const { ACCOUNT } = require('./lambda-names');
const { describe } = require('../bodies');
const { toRestEvent } = require('./lambda-http1');

/** Bodies of these types come as text in format 2.0; all others in base64, forms too. */
const TEXT = /^\s*(?:text\/[^;\s]+|application\/(?:json|xml|javascript))\s*(?:;|$)/i;
const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

/** 12/Mar/2020:19:03:58 +0000 */
function logTime(date) {
  const two = (number) => String(number).padStart(2, '0');
  const day = `${two(date.getUTCDate())}/${MONTHS[date.getUTCMonth()]}/${date.getUTCFullYear()}`;
  return `${day}:${two(date.getUTCHours())}:${two(date.getUTCMinutes())}:${two(date.getUTCSeconds())} +0000`;
}

/** [name, value, …] of a request, and what the gateway adds to say where it came from. */
function partsWithOrigin(request) {
  const { headers, remote } = request;
  const parts = [];
  for (let i = 0; i + 1 < request.parts.length; i += 2) {
    if (request.parts[i] !== 'x-forwarded-for') parts.push(request.parts[i], request.parts[i + 1]);
  }
  const before = headers['x-forwarded-for'];
  parts.push('x-forwarded-for', before === undefined ? remote : `${before}, ${remote}`);
  const scheme = headers['x-forwarded-proto'] ?? 'http';
  if (headers['x-forwarded-proto'] === undefined) parts.push('x-forwarded-proto', scheme);
  if (headers['x-forwarded-port'] === undefined) parts.push('x-forwarded-port', portOf(headers.host, scheme));
  return parts;
}

function portOf(host, scheme) {
  return /:(\d+)$/.exec(host ?? '')?.[1] ?? (scheme === 'https' ? '443' : '80');
}

/** Repeated headers joined by a comma, as the gateway does. */
function joinedHeaders(parts) {
  const headers = {};
  for (let i = 0; i + 1 < parts.length; i += 2) {
    const [name, value] = [parts[i], parts[i + 1]];
    const joiner = name === 'cookie' ? '; ' : ',';
    headers[name] = Object.hasOwn(headers, name) ? headers[name] + joiner + value : value;
  }
  return headers;
}

function queryParameters(text) {
  if (text === '') return undefined;
  const values = {};
  for (const [name, value] of new URLSearchParams(text)) {
    values[name] = Object.hasOwn(values, name) ? `${values[name]},${value}` : value;
  }
  return values;
}

/** The body as text or in base64. */
function bodyOf(request, isTextType) {
  const { body, headers } = request;
  if (body.length === 0) return { body: undefined, isBase64Encoded: false };
  const isText = isTextType && headers['content-encoding'] === undefined && isUtf8(body);
  return { body: body.toString(isText ? 'utf8' : 'base64'), isBase64Encoded: !isText };
}

/** The event of a request whose body is whole. */
function toGatewayEvent(request, attempt, requestId, format) {
  const origin = { parts: partsWithOrigin(request), requestId, api: attempt.worker.settings.function, now: new Date() };
  if (format === '1.0') {
    return toRestEvent(request, { ...origin, time: logTime(origin.now), ...bodyOf(request, true) });
  }
  const event = toHttpEvent(request, origin);
  return format === 'url' ? asUrlEvent(event, request) : event;
}

function toHttpEvent(request, { parts, requestId, api, now }) {
  const headers = joinedHeaders(parts);
  const domainName = headers.host ?? 'localhost';
  const path = decodePath(request.path);
  const event = {
    version: '2.0',
    routeKey: '$default',
    rawPath: path,
    rawQueryString: request.queryText,
    cookies: headers.cookie === undefined ? undefined : headers.cookie.split(/;\s*/),
    headers,
    queryStringParameters: queryParameters(request.queryText),
    requestContext: {
      accountId: ACCOUNT,
      apiId: api,
      domainName,
      domainPrefix: domainName.split('.')[0],
      http: {
        method: request.method,
        path,
        protocol: 'HTTP/1.1',
        sourceIp: request.remote,
        userAgent: headers['user-agent'] ?? '',
      },
      requestId,
      routeKey: '$default',
      stage: '$default',
      time: logTime(now),
      timeEpoch: now.getTime(),
    },
    pathParameters: request.paramsBlock === '' ? undefined : request.params,
    ...bodyOf(request, TEXT.test(headers['content-type'] ?? '')),
  };
  for (const key of Object.keys(event)) if (event[key] === undefined) delete event[key];
  return event;
}

/** What function URLs do otherwise: the path stays encoded, and there are no routes. */
function asUrlEvent(event, request) {
  event.rawPath = request.path;
  event.requestContext.http.path = request.path;
  event.requestContext.accountId = 'anonymous';
  delete event.pathParameters;
  return event;
}

/** As HTTP APIs decode the path, but for what would then change its meaning (`%2F`, `%3F`, …). */
function decodePath(path) {
  try {
    return decodeURI(path);
  } catch {
    return path;
  }
}

/** Whether a result is an answer in the gateway's format rather than a bare value. */
function isAnswer(value) {
  return value !== null && typeof value === 'object' && value.statusCode !== undefined;
}

/** Status, headers and cookies. Throws where something in it can stand in no answer. */
function setHead(res, { statusCode, headers, multiValueHeaders, cookies }) {
  if (statusCode !== undefined && statusCode !== null) res.status(statusCode);
  for (const [name, value] of entriesOf('headers', headers)) {
    if (value !== undefined && value !== null) res.setHeader(name, Array.isArray(value) ? value : String(value));
  }
  for (const [name, values] of entriesOf('multiValueHeaders', multiValueHeaders)) {
    // What both have is meant once.
    const all = [].concat(values).map(String);
    const single = headers?.[name];
    res.setHeader(name, single === undefined || single === null || all.includes(String(single)) ? all : [...all, String(single)]);
  }
  if (cookies === undefined || cookies === null) return;
  if (!Array.isArray(cookies)) throw new TypeError(`\`cookies\` of the answer must be a list of texts, not ${describe(cookies)}`);
  for (const cookie of cookies) res.appendHeader('set-cookie', cookie);
}

function entriesOf(what, value) {
  if (value === undefined || value === null) return [];
  if (typeof value !== 'object' || Array.isArray(value)) throw new TypeError(`\`${what}\` of the answer must be an object, not ${describe(value)}`);
  return Object.entries(value);
}

/** Sends what the handler returned. Throws when it is not an answer that can be sent. */
function sendGatewayResponse(res, value, format) {
  if (format === '1.0') {
    if (value === null || typeof value !== 'object' || Array.isArray(value)) {
      throw new TypeError(`in payload format 1.0 the handler must return an object { statusCode, headers, body }, not ${describe(value)}`);
    }
  } else if (!isAnswer(value)) {
    const text = typeof value === 'string' ? value : asJson(value ?? null);
    res.setHeader('content-type', 'application/json');
    res.end(text);
    return;
  }
  setHead(res, value);
  const bytes = bodyBytes(value);
  if (bytes.length > 0 && !res.hasHeader('content-type')) {
    res.setHeader('content-type', format === '1.0' ? 'application/json' : 'text/plain; charset=utf-8');
  }
  res.end(bytes);
}

function bodyBytes({ body, isBase64Encoded }) {
  if (body === undefined || body === null) return '';
  if (isBase64Encoded) {
    if (typeof body !== 'string') throw new TypeError(`with \`isBase64Encoded\` the body of the answer must be a text in base64, not ${describe(body)}`);
    return Buffer.from(body, 'base64');
  }
  return typeof body === 'string' ? body : asJson(body);
}

function asJson(value) {
  let text;
  try {
    text = JSON.stringify(value);
  } catch (cause) {
    throw new TypeError(`the answer of the handler cannot be written as JSON: ${cause.message.replace(/\s*\n\s*/g, ' ')}`, { cause });
  }
  if (text === undefined) throw new TypeError(`the answer of the handler cannot be written as JSON: it is ${describe(value)}`);
  return text;
}

module.exports = { toGatewayEvent, sendGatewayResponse, setHead };
