'use strict';
// Requests as REST APIs hand them to Lambda: payload format 1.0.

const { ACCOUNT } = require('./lambda-names');

/** Names whose usual spelling is not that of capitals behind hyphens. */
const SPELLINGS = new Map(
  ['ETag', 'DNT', 'TE', 'WWW-Authenticate', 'Content-MD5', 'Sec-WebSocket-Key', 'Sec-WebSocket-Version', 'Sec-WebSocket-Protocol', 'X-XSS-Protection',
    'X-UIDH', 'X-GitHub-Event', 'X-GitHub-Delivery', 'X-GitHub-Hook-ID', 'X-GitHub-Hook-Installation-Target-ID', 'X-GitHub-Hook-Installation-Target-Type',
    'X-HTTP-Method-Override', 'X-Request-ID', 'X-Correlation-ID', 'SOAPAction'].map((name) => [name.toLowerCase(), name]),
);

function spelled(name) {
  return SPELLINGS.get(name) ?? name.replace(/(?:^|-)[a-z]/g, (start) => start.toUpperCase());
}

/**
 * Reads of names that an object has not itself, in whatever case. As the prototype of headers it
 * finds them as callers wrote them, which nobody can know any more when they arrive here.
 */
function anyCase(byLower) {
  return new Proxy(Object.prototype, {
    get(target, key, receiver) {
      if (typeof key !== 'string' || key in target) return Reflect.get(target, key, receiver);
      return byLower.get(key.toLowerCase());
    },
  });
}

/** `single` has the last value of each name, `multi` all of them. */
function grouped(pairs) {
  const single = {};
  const multi = {};
  for (const [name, value] of pairs) {
    define(single, name, value);
    if (Object.hasOwn(multi, name)) multi[name].push(value);
    else define(multi, name, [value]);
  }
  return { single, multi };
}

/** Also where the name is `__proto__`. */
function define(object, name, value) {
  Object.defineProperty(object, name, { value, enumerable: true, writable: true, configurable: true });
}

function headersOf(parts) {
  const pairs = [];
  for (let i = 0; i + 1 < parts.length; i += 2) pairs.push([spelled(parts[i]), parts[i + 1]]);
  const { single, multi } = grouped(pairs);
  for (const object of [single, multi]) {
    const byLower = new Map(Object.entries(object).map(([name, value]) => [name.toLowerCase(), value]));
    Object.setPrototypeOf(object, anyCase(byLower));
  }
  return { headers: single, multiValueHeaders: multi };
}

function queryOf(text) {
  if (text === '') return { queryStringParameters: null, multiValueQueryStringParameters: null };
  const { single, multi } = grouped(new URLSearchParams(text));
  return { queryStringParameters: single, multiValueQueryStringParameters: multi };
}

function identityOf(request, headers) {
  return {
    accessKey: null,
    accountId: null,
    apiKey: null,
    apiKeyId: null,
    caller: null,
    cognitoAuthenticationProvider: null,
    cognitoAuthenticationType: null,
    cognitoIdentityId: null,
    cognitoIdentityPoolId: null,
    principalOrgId: null,
    sourceIp: request.remote,
    user: null,
    userAgent: headers['User-Agent'] ?? null,
    userArn: null,
  };
}

/** The event of a request whose body is whole. */
function toRestEvent(request, { parts, requestId, api, now, time, body, isBase64Encoded }) {
  const { headers, multiValueHeaders } = headersOf(parts);
  const domainName = headers.Host ?? 'localhost';
  const resource = '/{proxy+}';
  return {
    version: '1.0',
    resource,
    path: request.path,
    httpMethod: request.method,
    headers,
    multiValueHeaders,
    ...queryOf(request.queryText),
    pathParameters: request.paramsBlock === '' ? { proxy: request.path.slice(1) } : request.params,
    stageVariables: null,
    requestContext: {
      accountId: ACCOUNT,
      apiId: api,
      domainName,
      domainPrefix: domainName.split('.')[0],
      extendedRequestId: requestId,
      httpMethod: request.method,
      identity: identityOf(request, headers),
      path: request.path,
      protocol: 'HTTP/1.1',
      requestId,
      requestTime: time,
      requestTimeEpoch: now.getTime(),
      resourceId: api,
      resourcePath: resource,
      stage: '$default',
    },
    body: body ?? null,
    isBase64Encoded,
  };
}

module.exports = { toRestEvent };
