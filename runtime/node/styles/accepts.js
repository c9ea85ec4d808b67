'use strict';
// What a caller prefers of what there is: Accept and its kin (RFC 9110, section 12.5).

const { mediaType } = require('./mime');

/** [{value, written, q, order}] of a list with weights; what weighs nothing stays, as a refusal. */
function parse(header) {
  const entries = [];
  for (const [order, part] of header.split(',').entries()) {
    const [value, ...params] = part.split(';').map((text) => text.trim());
    if (value === '') continue;
    const weight = params.find((param) => /^q\s*=/i.test(param));
    const q = weight === undefined ? 1 : Number.parseFloat(weight.slice(weight.indexOf('=') + 1));
    entries.push({ value: value.toLowerCase(), written: value, q: q >= 0 ? q : 0, order });
  }
  return entries;
}

/** How exactly an entry means a thing, 0 for not at all. */
const match = {
  type(entry, wanted) {
    if (entry === wanted) return 3;
    if (entry === '*/*') return 1;
    return entry.endsWith('/*') && wanted.startsWith(entry.slice(0, -1)) ? 2 : 0;
  },
  language(entry, wanted) {
    if (entry === wanted) return 4;
    if (wanted.startsWith(`${entry}-`)) return 3;
    if (entry.startsWith(`${wanted}-`)) return 2;
    return entry === '*' ? 1 : 0;
  },
  encoding(entry, wanted) {
    if (entry === wanted) return 2;
    return entry === '*' ? 1 : 0;
  },
};

/** The entry that speaks most exactly of a thing. */
function entryOf(entries, wanted, matches) {
  let best = null;
  let exact = 0;
  for (const entry of entries) {
    const level = matches(entry.value, wanted);
    if (level > exact) [best, exact] = [entry, level];
  }
  return best === null ? null : { q: best.q, exact, order: best.order };
}

/** The first of `offered` that the caller likes best, or false. */
function prefer(entries, offered, matches, nameOf) {
  const ranked = [];
  for (const [at, name] of offered.entries()) {
    const entry = entryOf(entries, nameOf(name), matches);
    if (entry !== null && entry.q > 0) ranked.push({ name, at, ...entry });
  }
  ranked.sort((a, b) => b.q - a.q || b.exact - a.exact || a.order - b.order || a.at - b.at);
  return ranked.length === 0 ? false : ranked[0].name;
}

/** What the caller lists, best first. */
function listed(entries) {
  return entries.filter(({ q }) => q > 0).sort((a, b) => b.q - a.q || a.order - b.order).map(({ written }) => written);
}

const lower = (name) => name.toLowerCase();
const typeOf = (name) => mediaType(name).split(';')[0].toLowerCase();

function choose(header, fallback, offered, matches, nameOf) {
  const entries = parse(header === undefined ? fallback : header);
  const names = offered.flat();
  return names.length === 0 ? listed(entries) : prefer(entries, names, matches, nameOf);
}

const methods = {
  /** accepts('html', 'json') → the one the caller prefers, or false; without names, all it lists. */
  accepts(...types) {
    return choose(this.headers.accept, '*/*', types, match.type, typeOf);
  },

  acceptsEncodings(...encodings) {
    const header = this.headers['accept-encoding'] ?? '';
    // Sending it as it is goes always, unless it is refused; everything that is listed is better.
    const refused = /(?:^|,)\s*(?:identity|\*)\s*(?:[;,]|$)/i.test(header);
    return choose(refused ? header : `${header},identity;q=0.0001`, '', encodings, match.encoding, lower);
  },

  acceptsCharsets(...charsets) {
    return choose(this.headers['accept-charset'], '*', charsets, match.encoding, lower);
  },

  acceptsLanguages(...languages) {
    return choose(this.headers['accept-language'], '*', languages, match.language, lower);
  },
};

module.exports = { methods };
