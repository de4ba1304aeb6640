// A decoder of the batch format (protocol/telemetry.py) in another language: short, strict, and made from the
// documents alone. It decodes every golden batch beside it to the same meaning, and refuses every hostile one.
//
//   import { decodeBatch, Refused } from "./decode.mjs";
//
// Values are exact: decimal text, never a double. Times are milliseconds since 1970, as BigInt.

import { decompress } from "fzstd";

import { xxh64 } from "./xxh64.mjs";

const MAX_PAYLOAD = 128 * 1024, MAX_BODY = 4 * 1024 * 1024, MAX_ROWS = 100_000n, MAX_READINGS = 200_000;
const MAX_SEQUENCE = 2n ** 63n - 1n, MAX_DIGITS = 34, MAX_NESTING = 8, FIRST_ABSOLUTE_SECOND = 2n ** 28n;
const LAST_MILLISECOND = 253_402_300_799_999n;
const CLOCKS = ["unknown", "held", "synchronized"];
const DEVICE = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;

export class Refused extends Error {
  constructor(code) { super(code); this.code = code; }
}

function refuse(code) { throw new Refused(code); }

// --- CBOR (RFC 8949): definite lengths, one tag, nothing behind the item ---------------------------------------------

class Decimal {
  constructor(mantissa, exponent) { this.mantissa = mantissa; this.exponent = exponent; }
}

function readCbor(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  let at = 0;
  const take = (size) => { if (at + size > bytes.length) refuse("not-cbor"); at += size; return at - size; };

  function argument(extra) {
    if (extra < 24) return BigInt(extra);
    if (extra === 24) return BigInt(view.getUint8(take(1)));
    if (extra === 25) return BigInt(view.getUint16(take(2)));
    if (extra === 26) return BigInt(view.getUint32(take(4)));
    if (extra === 27) return view.getBigUint64(take(8));
    return refuse("not-cbor");
  }

  function item(depth) {
    if (depth > MAX_NESTING) refuse("not-cbor");
    const head = view.getUint8(take(1)), kind = head >> 5, extra = head & 31;
    if (kind === 7) return simple(extra);
    const value = argument(extra);
    if (kind === 0) return value;
    if (kind === 1) return -1n - value;
    if (kind === 6) {
      if (value !== 4n) refuse("tag");
      const parts = item(depth + 1);
      if (!Array.isArray(parts) || parts.length !== 2 || parts.some((one) => typeof one !== "bigint")) refuse("not-cbor");
      return new Decimal(parts[1], parts[0]);
    }
    if (value > BigInt(bytes.length - at)) refuse("not-cbor");
    const size = Number(value);
    if (kind === 2) return bytes.slice(take(size), at);
    if (kind === 3) {
      try { return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes.slice(take(size), at)); }
      catch { return refuse("not-cbor"); }
    }
    if (kind === 4) return Array.from({ length: size }, () => item(depth + 1));
    const map = new Map();
    for (let entry = 0; entry < size; entry++) {
      const key = item(depth + 1);
      if (map.has(key)) refuse("not-cbor");
      map.set(key, item(depth + 1));
    }
    return map;
  }

  function simple(extra) {
    if (extra === 20 || extra === 21) return extra === 21;
    if (extra === 22 || extra === 23) return null;
    if (extra === 25) return half(view.getUint16(take(2)));
    if (extra === 26) return view.getFloat32(take(4));
    if (extra === 27) return view.getFloat64(take(8));
    return refuse("not-cbor");
  }

  const found = item(1);
  if (at !== bytes.length) refuse("trailing-bytes");
  return found;
}

function half(bits) {
  const sign = bits & 0x8000 ? -1 : 1, exponent = (bits >> 10) & 31, fraction = bits & 1023;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (exponent ? 2 ** (exponent - 25) * (1024 + fraction) : 2 ** -24 * fraction);
}

// --- Exact numbers ----------------------------------------------------------------------------------------------------

function number(value) {
  if (typeof value === "bigint") return limited(new Decimal(value, 0n));
  if (value instanceof Decimal) return limited(value);
  if (typeof value !== "number") refuse("not-a-number");
  if (!Number.isFinite(value)) refuse("not-finite");
  const [digits, power = "0"] = value.toString().split("e");
  const [whole, fraction = ""] = digits.split(".");
  return limited(new Decimal(BigInt(whole + fraction), BigInt(power) - BigInt(fraction.length)));
}

function limited(decimal) {
  const digits = magnitude(decimal.mantissa).toString().length;
  const first = BigInt(digits) - 1n + decimal.exponent;
  if (digits > MAX_DIGITS || magnitude(first) > MAX_DIGITS) refuse("digits");
  return decimal;
}

function magnitude(integer) { return integer < 0n ? -integer : integer; }

function text({ mantissa, exponent }) {
  if (exponent >= 0n) return (mantissa * 10n ** exponent).toString();
  const places = Number(-exponent), digits = magnitude(mantissa).toString().padStart(places + 1, "0");
  return `${mantissa < 0n ? "-" : ""}${digits.slice(0, -places)}.${digits.slice(-places)}`;
}

function milliseconds(value) {
  const { mantissa, exponent } = number(value);
  const shift = exponent + 3n;
  const time = shift >= 0n ? mantissa * 10n ** shift : mantissa / 10n ** -shift;
  if (time < FIRST_ABSOLUTE_SECOND * 1000n) refuse("relative-time");
  if (time > LAST_MILLISECOND) refuse("beyond-the-calendar");
  return time;
}

// --- The frame (RFC 8878): its stated size is checked before it is unpacked, its checksum after ----------------------

function unpack(body) {
  if (!(body instanceof Uint8Array)) refuse("not-a-frame");
  if (body.length < 6 || String(body.slice(0, 4)) !== "40,181,47,253") refuse("not-a-frame");
  const descriptor = body[4], single = Boolean(descriptor & 32), sizeFlag = descriptor >> 6;
  if (!(descriptor & 4)) refuse("no-checksum");
  if (descriptor & 3) refuse("dictionary");
  const start = 5 + (single ? 0 : 1), length = sizeFlag ? 2 ** sizeFlag : single ? 1 : 0;
  let size = 0;
  for (let byte = length - 1; byte >= 0; byte--) size = size * 256 + (body[start + byte] ?? 0);
  if (sizeFlag === 1) size += 256;
  if (!length || size < 1 || size > MAX_BODY) refuse("size");
  let rows;
  try { rows = decompress(frameAlone(body, start + length), new Uint8Array(size)); }
  catch (error) { throw error instanceof Refused ? error : new Refused("not-a-frame"); }
  if (rows.length !== size) refuse("not-a-frame");
  const stated = new DataView(body.buffer, body.byteOffset + body.length - 4, 4).getUint32(0, true);
  if (BigInt(stated) !== (xxh64(rows) & 0xffffffffn)) refuse("not-a-frame");
  return rows;
}

// The blocks say where the frame ends: four bytes of checksum must follow, and nothing else.
function frameAlone(body, blocks) {
  let at = blocks, last = false;
  while (!last) {
    if (at + 3 > body.length) refuse("not-a-frame");
    const header = body[at] | (body[at + 1] << 8) | (body[at + 2] << 16);
    last = Boolean(header & 1);
    at += 3 + (((header >> 1) & 3) === 1 ? 1 : header >> 3);
  }
  if (at + 4 !== body.length) refuse("not-a-frame");
  return body;
}

// --- The batch ----------------------------------------------------------------------------------------------------------

export function decodeBatch(wire) {
  if (wire.length > MAX_PAYLOAD) refuse("too-large");
  const envelope = readCbor(wire);
  if (!(envelope instanceof Map) || envelope.get(0n) !== 1n) refuse("version");
  if (envelope.size !== 9 || [...Array(9).keys()].some((label) => !envelope.has(BigInt(label)))) refuse("labels");
  const unsigned = (label) => {
    const value = envelope.get(label);
    if (typeof value !== "bigint" || value < 0n || value > MAX_SEQUENCE) refuse("unsigned");
    return value;
  };
  const name = (label) => {
    const value = envelope.get(label);
    if (typeof value !== "string" || value.length < 1 || [...value].length > 64) refuse("text");
    return value;
  };
  const first = unsigned(3n), last = unsigned(4n), device = name(1n), clock = CLOCKS[unsigned(7n)];
  if (last < first || last - first + 1n > MAX_ROWS) refuse("sequence");
  if (!DEVICE.test(device)) refuse("device");
  if (clock === undefined) refuse("clock");
  const about = { device, epoch: unsigned(2n), firmware: name(5n), boot_count: unsigned(6n), clock };
  const rows = decodeRows(device, unpack(envelope.get(8n)));
  if (BigInt(rows.length) !== last - first + 1n) refuse("count");
  return { ...about, rows: rows.map((row, index) => ({ sequence: first + BigInt(index), ...row })) };
}

const BASE_NAME = -2n, BASE_TIME = -3n, NAME = 0n, UNIT = 1n, VALUE = 2n; // RFC 8428, table 4

function decodeRows(device, body) {
  const announced = body[0] >> 5 === 4 ? new DataView(body.buffer, body.byteOffset, body.length) : refuse("not-a-list");
  const extra = body[0] & 31;
  if (extra === 26 && body.length > 4 && announced.getUint32(1) > MAX_READINGS) refuse("too-many");
  const rows = [];
  for (const record of readCbor(body)) {
    if (!(record instanceof Map)) refuse("record");
    const labels = [...record.keys()];
    if (labels.some((label) => ![BASE_NAME, BASE_TIME, NAME, UNIT, VALUE].includes(label))) refuse("record");
    if ([NAME, UNIT, VALUE].some((label) => !record.has(label))) refuse("record");
    if (rows.length ? record.has(BASE_NAME) : record.get(BASE_NAME) !== `${device}/`) refuse("base-name");
    if (record.has(BASE_TIME)) rows.push({ time: milliseconds(record.get(BASE_TIME)), readings: [] });
    else if (!rows.length) refuse("no-time");
    const channel = record.get(NAME), unit = record.get(UNIT), { readings } = rows.at(-1);
    if (typeof channel !== "string" || channel === "" || [...channel].length > 64) refuse("channel");
    if (typeof unit !== "string" || unit === "" || [...unit].length > 16) refuse("unit");
    readings.push([channel, text(number(record.get(VALUE))), unit]);
  }
  for (const { readings } of rows) {
    if (new Set(readings.map(([channel]) => channel)).size !== readings.length) refuse("channel-twice");
  }
  return rows;
}
