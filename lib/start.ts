import { parseArgs } from 'node:util';
import { devices, loadModel, type Device } from './index';

/** How to name a device to a person. */
function describe(device: string): string {
  const [cpu, ...cuda] = devices();
  if (device === 'cpu') return `cpu, ${cpu.threads} threads, ${cpu.instructionSet}`;
  return `${device}, ${cuda.find((info) => info.device === device)?.name}`;
}

/** `npm start [-- [--device cpu|cuda] prompt]`: the built-in model continues a prompt, shown as it comes. */
async function main(): Promise<void> {
  const { values, positionals } = parseArgs({ options: { device: { type: 'string' } }, allowPositionals: true });
  const prompt = positionals.join(' ') || 'ROMEO:\n';
  const model = await loadModel('builtin:shakespeare', { device: values.device as Device | undefined });
  const began = performance.now();
  let tokens = 0;
  process.stdout.write(prompt);
  for await (const piece of model.stream(prompt)) {
    process.stdout.write(piece.text);
    tokens += piece.tokens.length;
  }
  const seconds = (performance.now() - began) / 1000;
  const { device } = model;
  await model.dispose();
  const speed = `${tokens} tokens in ${seconds.toFixed(2)} s, ${Math.round(tokens / seconds)} tokens/s`;
  process.stderr.write(`\n\n${speed} (${describe(device)})\n`);
}

// A reader that has seen enough, as `head` does.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit();
});

main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
});
