'use strict';
// Requests and answers as API Gateway exchanges them with Lambda (payload format 2.0).

const { isUtf8 } = require('node:buffer');
const { ACCOUNT } = require('./lambda-events');

const TEXT = /^\s*(?:text\/|application\/(?:[^;\s]+\+)?(?:json|xml)\b|application\/(?:javascript|x-www-form-urlencoded|graphql)\b)/i;
const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

/** 12/Mar/2020:19:03:58 +0000 */
function logTime(date) {
  const two = (number) => String(number).padStart(2, '0');
  const day = `${two(date.getUTCDate())}/${MONTHS[date.getUTCMonth()]}/${date.getUTCFullYear()}`;
  return `${day}:${two(date.getUTCHours())}:${two(date.getUTCMinutes())}:${two(date.getUTCSeconds())} +0000`;
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

function bodyOf(request, headers) {
  if (request.body.length === 0) return { body: undefined, isBase64Encoded: false };
  const type = headers['content-type'];
  const isText = headers['content-encoding'] === undefined && (type === undefined || TEXT.test(type)) && isUtf8(request.body);
  return { body: request.body.toString(isText ? 'utf8' : 'base64'), isBase64Encoded: !isText };
}

/** The event of a request whose body is whole. */
function toGatewayEvent(request, attempt, requestId) {
  const headers = joinedHeaders(request.parts);
  const now = new Date();
  const domainName = headers.host ?? 'localhost';
  const path = request.path;
  const { body, isBase64Encoded } = bodyOf(request, headers);
  const event = {
    version: '2.0',
    routeKey: '$default',
    rawPath: decodePath(path),
    rawQueryString: request.queryText,
    cookies: headers.cookie === undefined ? undefined : headers.cookie.split(/;\s*/),
    headers,
    queryStringParameters: queryParameters(request.queryText),
    requestContext: {
      accountId: ACCOUNT,
      apiId: attempt.worker.settings.function,
      domainName,
      domainPrefix: domainName.split('.')[0],
      http: {
        method: request.method,
        path: decodePath(path),
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
    body,
    isBase64Encoded,
  };
  for (const key of Object.keys(event)) if (event[key] === undefined) delete event[key];
  return event;
}

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

function setHead(res, { statusCode, headers, multiValueHeaders, cookies }) {
  if (statusCode !== undefined) res.status(statusCode);
  for (const [name, value] of Object.entries(headers ?? {})) {
    if (value !== undefined && value !== null) res.setHeader(name, Array.isArray(value) ? value : String(value));
  }
  for (const [name, values] of Object.entries(multiValueHeaders ?? {})) res.setHeader(name, [].concat(values).map(String));
  for (const cookie of cookies ?? []) res.appendHeader('set-cookie', cookie);
}

/** Sends what the handler returned. Throws when it is not an answer that can be sent. */
function sendGatewayResponse(res, value) {
  if (!isAnswer(value)) {
    const text = typeof value === 'string' ? value : JSON.stringify(value ?? null);
    res.setHeader('content-type', 'application/json');
    res.end(text);
    return;
  }
  setHead(res, value);
  const { body } = value;
  let bytes = '';
  if (body !== undefined && body !== null) {
    if (value.isBase64Encoded) bytes = Buffer.from(String(body), 'base64');
    else bytes = typeof body === 'string' ? body : JSON.stringify(body);
  }
  if (bytes.length > 0 && !res.hasHeader('content-type')) res.setHeader('content-type', 'text/plain; charset=utf-8');
  res.end(bytes);
}

module.exports = { toGatewayEvent, sendGatewayResponse, setHead };
