// Validates an AsyncAPI document: node validate.mjs FILE. It prints every error and
// warning, and fails if there is one.
import { Parser, fromFile } from '@asyncapi/parser';

const level = ['error', 'warning', 'info', 'hint'];
const [file] = process.argv.slice(2);
const { document, diagnostics } = await fromFile(new Parser(), file).parse();

const bad = diagnostics.filter((d) => d.severity <= 1);
for (const d of bad) {
  const { line, character } = d.range.start;
  console.error(`${file}:${line + 1}:${character + 1}: ${level[d.severity]}: ${d.message} (${d.path.join('.')})`);
}
if (!document || bad.length > 0) {
  process.exit(1);
}
console.log(`${file}: AsyncAPI ${document.version()}, ${document.allChannels().length} channels, ${document.allMessages().length} messages`);
