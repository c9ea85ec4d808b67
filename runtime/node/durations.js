'use strict';
// Durations as the manifest writes them: `500ms`, `30s`, `5m`, `6h`, `1d`, and sums such as `1h30m`.

const SHAPE = /^(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+)s)?(?:(\d+)ms)?$/;
const FACTORS = [86_400_000, 3_600_000, 60_000, 1000, 1];

/** Milliseconds; undefined for a text that is no duration. */
function parseDuration(text) {
  const parts = SHAPE.exec(text);
  if (parts === null || text === '') return undefined;
  return FACTORS.reduce((sum, factor, i) => sum + factor * Number(parts[i + 1] ?? 0), 0);
}

module.exports = { parseDuration };
