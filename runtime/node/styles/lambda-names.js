'use strict';
// The names that stand in for those of an AWS account, and the forms that events may take.

const DEFAULT_REGION = 'us-east-1';
/** There are no accounts here; code that takes ARNs apart finds twelve digits where it looks. */
const ACCOUNT = '000000000000';

/** The choices of `lambda` in LOAD, each with its default first. */
const FORMS = {
  payload: ['2.0', '1.0', 'url'],
  topic: ['eventbridge', 'sns', 'sqs'],
  database: ['event', 'dynamodb'],
};

/** What the function's settings choose. Throws where they choose what there is not. */
function formsOf(settings) {
  const given = settings.lambda ?? {};
  const forms = {};
  for (const [name, words] of Object.entries(FORMS)) {
    forms[name] = given[name] ?? words[0];
    if (!words.includes(forms[name])) {
      throw new TypeError(`\`${name}\` of \`lambda\` must be one of ${words.map((word) => `\`${word}\``).join(', ')}, not \`${forms[name]}\``);
    }
  }
  return forms;
}

/** The region as the function's settings have it. */
function region() {
  return process.env.AWS_REGION || DEFAULT_REGION;
}

function arn(service, resource) {
  return `arn:aws:${service}:${region()}:${ACCOUNT}:${resource}`;
}

/** The time in milliseconds; 0 for what is none. */
function millis(time) {
  const ms = Date.parse(time);
  return Number.isNaN(ms) ? 0 : ms;
}

function withMillis(time) {
  const date = new Date(time);
  return Number.isNaN(date.getTime()) ? String(time) : date.toISOString();
}

function inSeconds(time) {
  return withMillis(time).replace(/\.\d{3}Z$/, 'Z');
}

module.exports = { ACCOUNT, DEFAULT_REGION, arn, formsOf, inSeconds, millis, region, withMillis };
