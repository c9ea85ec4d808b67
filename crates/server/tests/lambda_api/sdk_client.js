'use strict';
// What AWS SDK v3 finds at Lambda's API.

const assert = require('node:assert/strict');
const {
  LambdaClient, InvokeCommand, InvokeWithResponseStreamCommand, ListFunctionsCommand, GetFunctionCommand, paginateListFunctions,
} = require('@aws-sdk/client-lambda');

const client = new LambdaClient({});
const text = (bytes) => Buffer.from(bytes).toString();

async function stream(FunctionName, payload, more = {}) {
  const answer = await client.send(new InvokeWithResponseStreamCommand({ FunctionName, Payload: JSON.stringify(payload), ...more }));
  const pieces = [];
  let complete;
  for await (const event of answer.EventStream) {
    if (event.PayloadChunk) pieces.push({ text: text(event.PayloadChunk.Payload), at: Date.now() });
    if (event.InvokeComplete) complete = event.InvokeComplete;
  }
  assert.equal(answer.StatusCode, 200);
  assert.match(answer.ExecutedVersion, /^[0-9a-f]{12}$/);
  return { all: pieces.map((piece) => piece.text).join(''), pieces, complete };
}

async function main() {
  const invoked = await client.send(new InvokeCommand({ FunctionName: 'echo', Payload: '{"sdk":3}', LogType: 'Tail' }));
  assert.equal(invoked.StatusCode, 200);
  assert.deepEqual(JSON.parse(text(invoked.Payload)).event, { sdk: 3 });
  assert.match(Buffer.from(invoked.LogResult, 'base64').toString(), /seen {"sdk":3}/);
  assert.equal(JSON.parse(text(invoked.Payload)).awsRequestId, invoked.$metadata.requestId);

  const failed = await client.send(new InvokeCommand({ FunctionName: 'fails' }));
  assert.equal(failed.FunctionError, 'Unhandled');
  assert.equal(JSON.parse(text(failed.Payload)).errorType, 'TypeError');

  await assert.rejects(client.send(new InvokeCommand({ FunctionName: 'nobody' })), (error) => {
    assert.equal(error.name, 'ResourceNotFoundException');
    assert.match(error.message, /Function not found: arn:aws:lambda:eu-central-1:000000000000:function:nobody/);
    return true;
  });

  // Piece by piece, while the function writes.
  const whole = await stream('stream', { pieces: ['a', 'bc', 'ö'] }, { LogType: 'Tail' });
  assert.equal(whole.all, 'abcö');
  assert.equal(whole.pieces.length, 3);
  assert.ok(whole.pieces[2].at - whole.pieces[0].at >= 50, 'the pieces came all at once');
  assert.equal(whole.complete.ErrorCode, undefined);
  assert.match(Buffer.from(whole.complete.LogResult, 'base64').toString(), /^START RequestId/);
  const large = await stream('stream', { times: 8 });
  assert.equal(large.all.length, 8_000_000);
  assert.equal((await stream('headed', {})).all, `{"statusCode":418}${'\0'.repeat(8)}teapot`);
  const buffered = JSON.parse((await stream('echo', { b: 1 })).all);
  assert.deepEqual(buffered.event, { b: 1 });
  assert.equal((await stream('nothing', {})).all, 'null');
  const broken = await stream('breaks', {});
  assert.equal(broken.all, 'begun');
  assert.equal(broken.complete.ErrorCode, 'Unhandled');
  assert.equal(JSON.parse(broken.complete.ErrorDetails).errorMessage, 'no further');
  const never = await stream('broken', {});
  assert.deepEqual([never.all, JSON.parse(never.complete.ErrorDetails).errorType], ['', 'Runtime.ImportModuleError']);
  await assert.rejects(stream('echo', {}, { InvocationType: 'DryRun' }), { name: 'InvalidParameterValueException' });
  await assert.rejects(stream('nobody', {}), { name: 'ResourceNotFoundException' });

  // Who leaves in mid-stream is not waited for.
  const left = await client.send(new InvokeWithResponseStreamCommand({ FunctionName: 'stream', Payload: JSON.stringify({ pieces: Array(1000).fill('y') }) }));
  for await (const event of left.EventStream) if (event.PayloadChunk) break;

  const names = [];
  for await (const page of paginateListFunctions({ client, pageSize: 5 }, {})) names.push(...page.Functions.map((one) => one.FunctionName));
  assert.equal(names.length, 19);
  const { Configuration } = await client.send(new GetFunctionCommand({ FunctionName: 'echo' }));
  assert.equal(Configuration.State, 'Active');
  assert.equal((await client.send(new ListFunctionsCommand({ MaxItems: 1 }))).NextMarker, names[0]);
  client.destroy();
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
