import { devices, loadModel } from './index';

/** `npm start`: the built-in model continues a prompt, shown as it comes; then how fast it was. */
async function main(): Promise<void> {
  const prompt = process.argv.slice(2).join(' ') || 'ROMEO:\n';
  const model = await loadModel('builtin:shakespeare');
  const began = performance.now();
  let tokens = 0;
  process.stdout.write(prompt);
  for await (const piece of model.stream(prompt)) {
    process.stdout.write(piece.text);
    tokens += piece.tokens.length;
  }
  const seconds = (performance.now() - began) / 1000;
  await model.dispose();
  for (const { device, threads, instructionSet } of devices()) {
    const speed = `${tokens} tokens in ${seconds.toFixed(2)} s, ${Math.round(tokens / seconds)} tokens/s`;
    process.stderr.write(`\n\n${speed} (${device}, ${threads} threads, ${instructionSet})\n`);
  }
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
