//! The project that clients call.

use std::os::unix::fs::symlink;

use crate::{clients, support::Project};

const MANIFEST: &str = r#"
name = "lambdas"

[bucket.notes]

[function.echo]
[function.nothing]
[function.fails]
[function.slow]
timeout = "1s"
[function.crash]
[function.broken]
[function.chatty]
[function.stream]
[function.breaks]
[function.native]
[function.headed]

[function.web]
auth = "none"
[function.web.routes]
"POST /web" = "handler"

[function.plain]
auth = "none"
[function.plain.routes]
"POST /plain" = {}

[function.flaky]
retry      = { max_attempts = 2, backoff = ["10ms", "20ms"] }
on_failure = { function = "repair" }
[function.repair]

[function.narrow]
concurrency = 1

[function.caller]
access = { function = ["echo", "stream"], bucket.notes = "write" }
[function.nosy]
[function.loops]
timeout = "5m"
access = { function = ["loops"] }
"#;

const FILES: [(&str, &str); 19] = [
    (
        "functions/echo.js",
        "exports.handler = async (event, context) => {
  console.log('seen', JSON.stringify(event));
  const { awsRequestId, clientContext, invokedFunctionArn, functionVersion } = context;
  return { event, awsRequestId, clientContext, invokedFunctionArn, functionVersion };
};",
    ),
    ("functions/nothing.js", "exports.handler = async () => {};"),
    (
        "functions/fails.js",
        "exports.handler = async () => { throw new TypeError('no such book'); };",
    ),
    (
        "functions/slow.js",
        "exports.handler = () => new Promise((go) => setTimeout(go, 60_000));",
    ),
    (
        "functions/crash.js",
        "exports.handler = async () => { process.exit(3); };",
    ),
    (
        "functions/broken.js",
        "require('not-there-at-all'); exports.handler = async () => {};",
    ),
    (
        "functions/chatty.js",
        "exports.handler = async () => { for (let i = 0; i < 200; i++) console.log('line', i, 'x'.repeat(50)); };",
    ),
    (
        "functions/stream.js",
        "exports.handler = awslambda.streamifyResponse(async (event, stream) => {
  const pieces = event.times === undefined ? ['one', 'two'] : Array(event.times).fill('x'.repeat(1_000_000));
  for (const piece of event.pieces ?? pieces) {
    stream.write(piece);
    await new Promise((go) => setTimeout(go, 50));
  }
  stream.end();
});",
    ),
    (
        "functions/breaks.js",
        "exports.handler = awslambda.streamifyResponse(async (event, stream) => {
  stream.write('begun');
  await new Promise((go) => setTimeout(go, 50));
  throw new RangeError('no further');
});",
    ),
    (
        "functions/native.js",
        "module.exports = async ({ type, data, ...more }) => ({ type, data, more: Object.keys(more).filter((key) => key.startsWith('lambda')) });",
    ),
    (
        "functions/headed.js",
        "exports.handler = awslambda.streamifyResponse(async (event, stream) => {
  awslambda.HttpResponseStream.from(stream, { statusCode: 418 }).end('teapot');
});",
    ),
    (
        "functions/web.js",
        "exports.handler = async (event) => ({ was: event });",
    ),
    (
        "functions/plain.js",
        "module.exports = (req, res) => res.send('plain');",
    ),
    (
        "functions/flaky.js",
        "exports.handler = async (event) => { throw new Error(`cannot ${event.what}`); };",
    ),
    (
        "functions/repair.js",
        "module.exports = async ({ data }) => data;",
    ),
    (
        "functions/narrow.js",
        "exports.handler = async () => { await new Promise((go) => setTimeout(go, 200)); return 'done'; };",
    ),
    ("functions/caller.js", CALLER),
    ("functions/nosy.js", CALLER),
    (
        "functions/loops.js",
        "const { LambdaClient, InvokeCommand } = require('@aws-sdk/client-lambda');
const client = new LambdaClient({});
exports.handler = async ({ wait }) => {
  const asked = { FunctionName: 'loops', InvocationType: wait ? 'RequestResponse' : 'Event', Payload: JSON.stringify({ wait }) };
  const { Payload } = await client.send(new InvokeCommand(asked)).catch((error) => ({ Payload: JSON.stringify(error.name) }));
  return wait ? JSON.parse(Buffer.from(Payload)) : 'again';
};",
    ),
];

/// Knows nothing but the environment.
const CALLER: &str = "const { LambdaClient, InvokeCommand, InvokeWithResponseStreamCommand, ListFunctionsCommand } = require('@aws-sdk/client-lambda');
const client = new LambdaClient({});
const text = (bytes) => Buffer.from(bytes).toString();
const asked = {
  async invoke(FunctionName) {
    const { StatusCode, Payload } = await client.send(new InvokeCommand({ FunctionName, Payload: JSON.stringify({ from: 'inside' }) }));
    return [StatusCode, JSON.parse(text(Payload)).event];
  },
  async later(FunctionName) {
    const answer = await client.send(new InvokeCommand({ FunctionName, InvocationType: 'Event', Payload: '{\"later\":true}' }));
    return answer.StatusCode;
  },
  async stream(FunctionName) {
    const answer = await client.send(new InvokeWithResponseStreamCommand({ FunctionName }));
    let all = '';
    for await (const { PayloadChunk } of answer.EventStream) if (PayloadChunk) all += text(PayloadChunk.Payload);
    return all;
  },
  async list() {
    const { Functions } = await client.send(new ListFunctionsCommand({}));
    return Functions.map((one) => one.FunctionName);
  },
};
exports.handler = async ({ what, name }) => {
  try {
    return await asked[what](name);
  } catch (error) {
    return { error: error.name, message: error.message };
  }
};";

/// The project, with AWS SDK v3 beside its functions.
pub fn project() -> Project {
    let mut files = vec![("wakeful.toml", MANIFEST)];
    files.extend(FILES);
    let project = Project::of(&files);
    symlink(clients::node_modules(), project.path().join("node_modules")).unwrap();
    project
}
