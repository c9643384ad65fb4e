// Turns the constants of native-bindings/include/abi.h into native-bindings/abi.ts, so that both
// sides of the native boundary read one definition. `--check` fails when the file on disk is not
// what would be written.
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const header = fileURLToPath(new URL("../native-bindings/include/abi.h", import.meta.url));
const target = fileURLToPath(new URL("../native-bindings/abi.ts", import.meta.url));

/** The TypeScript text for the constants in abi.h. */
export function generateAbi(text) {
  const lines = [
    "// Generated from include/abi.h by scripts/generate-abi.mjs; do not edit. Columns, flags and limits",
    "// of the native boundary.",
    "",
  ];
  const pattern = /^constexpr int32_t (\w+) = (-?\d+);\s*(?:\/\/ (.*))?$/;
  for (const line of text.split("\n")) {
    const match = pattern.exec(line);
    if (line.startsWith("constexpr") && !match) throw new Error(`abi.h: not a literal: ${line}`);
    if (match?.[3]) lines.push(`/** ${match[3]} */`);
    if (match) lines.push(`export const ${match[1]} = ${match[2]};`);
  }
  return `${lines.join("\n")}\n`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const generated = generateAbi(readFileSync(header, "utf8"));
  if (process.argv.includes("--check")) {
    if (readFileSync(target, "utf8") !== generated) {
      console.error("native-bindings/abi.ts is not what abi.h says: run `npm run abi`");
      process.exitCode = 1;
    }
  } else {
    writeFileSync(target, generated);
  }
}
