// What the decoder makes of each file named on the command line: one line of JSON a file, in their order.

import { readFileSync } from "node:fs";

import { decodeBatch, Refused } from "./decode.mjs";

for (const path of process.argv.slice(2)) {
  let said;
  try {
    said = { batch: decodeBatch(new Uint8Array(readFileSync(path))) };
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    said = { refused: error.code };
  }
  const plain = (_key, value) => (typeof value === "bigint" ? value.toString() : value);
  process.stdout.write(`${JSON.stringify(said, plain)}\n`);
}
