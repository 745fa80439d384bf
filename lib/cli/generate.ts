import type { Command } from 'commander';
import type { GenerationOptions, Model } from '../index';
import { addModelFlags, decimal, openModel, promptOf, wholeNumber, type ModelFlags } from './model';

interface GenerateFlags extends ModelFlags {
  maxNewTokens?: number;
  temperature?: number;
  topK?: number;
  topP?: number;
  seed?: number;
  greedy?: true;
  stop?: string[];
  numBeams?: number;
  json?: true;
}

function optionsOf(flags: GenerateFlags): GenerationOptions {
  const { maxNewTokens, temperature, topK, topP, seed, greedy, stop, numBeams } = flags;
  const options = {
    maxNewTokens,
    temperature,
    topK,
    topP,
    seed,
    numBeams,
    doSample: greedy ? false : undefined,
    stopStrings: stop,
  };
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
}

/** Ctrl-C ends the work, cleanly, the second one at once. */
function interruptible(): AbortSignal {
  const controller = new AbortController();
  process.once('SIGINT', () => {
    controller.abort();
  });
  return controller.signal;
}

const median = (values: number[]): number => values.sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;

/** Tokens a second of reading a prompt and of decoding. */
async function measure(model: Model, promptTokens: number, newTokens: number, batch: number) {
  const ids = Array.from({ length: batch }, (_, b) =>
    Int32Array.from({ length: promptTokens }, (_, i) => (7 * i + b) % model.vocabSize),
  );
  const plain = { doSample: false, numBeams: 1, eosTokenId: null };
  const runs: { prefill: number; decode: number }[] = [];
  for (let run = 0; run < 4; ++run) {
    const began = performance.now();
    let first = 0;
    for await (const piece of model.stream(ids, { ...plain, maxNewTokens: newTokens })) {
      if (first === 0 && piece.tokens.length > 0) first = performance.now();
    }
    const seconds = (to: number, from: number) => (to - from) / 1000;
    const steps = newTokens - 1;
    runs.push({
      prefill: (batch * promptTokens) / seconds(first, began),
      decode: steps === 0 ? 0 : (batch * steps) / seconds(performance.now(), first),
    });
  }
  runs.shift(); // warms up
  return { prefill: median(runs.map((run) => run.prefill)), decode: median(runs.map((run) => run.decode)) };
}

/** `heddle generate`, `heddle bench`. */
export function addGeneration(program: Command): void {
  addModelFlags(program.command('generate'))
    .argument('[prompt...]', 'default: standard input')
    .description('continues a prompt, shown as it comes')
    .option('-n, --max-new-tokens <count>', 'tokens at most', wholeNumber)
    .option('-t, --temperature <value>', 'above 0', decimal)
    .option('--top-k <count>', 'only the best tokens', wholeNumber)
    .option('--top-p <mass>', 'only the best tokens that hold this mass', decimal)
    .option('--seed <number>', 'of what is drawn', wholeNumber)
    .option('--greedy', 'the best token each time, nothing drawn')
    .option('--num-beams <count>', 'the best of so many beams, shown at the end', wholeNumber)
    .option('--stop <text...>', 'ends before any of these')
    .option('--json', 'one line of JSON at the end, nothing before')
    .addHelpText(
      'after',
      '\nExamples:\n  $ heddle generate builtin:shakespeare "ROMEO:" --seed 1' +
        '\n  $ echo "Once upon a time" | heddle generate ./stories -n 64 --json',
    )
    .action(async (folder: string, words: string[], flags: GenerateFlags) => {
      const signal = interruptible();
      const prompt = await promptOf(words);
      await using model = await openModel(folder, flags, signal);
      const options = { ...optionsOf(flags), signal };
      if (flags.json) {
        const result = await model.generate(prompt, options);
        process.stdout.write(`${JSON.stringify(Object.assign({ prompt }, result))}\n`);
        return;
      }
      const { numBeams = 1 } = options; // a folder's would leave nothing to show before the end
      if (numBeams > 1) process.stdout.write((await model.generate(prompt, options)).text);
      else for await (const { text } of model.stream(prompt, { ...options, numBeams })) process.stdout.write(text);
      process.stdout.write('\n');
    });

  addModelFlags(program.command('bench'))
    .description('tokens a second of reading a prompt and of decoding; medians')
    .option('--prompt-tokens <count>', 'of each sequence', wholeNumber, 128)
    .option('--new-tokens <count>', 'of each sequence', wholeNumber, 64)
    .option('--batch <sequences>', 'at once', wholeNumber, 1)
    .option('--json', 'as one line of JSON')
    .addHelpText('after', '\nExample:\n  $ heddle bench ./gpt2 --batch 8 --dtype bfloat16')
    .action(async (folder: string, flags: ModelFlags & BenchFlags) => {
      const { promptTokens, newTokens, batch } = flags;
      await using model = await openModel(folder, flags);
      const speed = await measure(model, promptTokens, newTokens, batch);
      const { device, dtype } = model;
      const { quantize, cacheDtype } = flags;
      if (flags.json) {
        const result = { device, dtype, quantize, cacheDtype, promptTokens, newTokens, batch, tokensPerSecond: speed };
        process.stdout.write(`${JSON.stringify(result)}\n`);
        return;
      }
      process.stdout.write(
        `${[device, dtype, quantize, cacheDtype && `cache of ${cacheDtype}`].filter(Boolean).join(', ')}, ${batch} × ${promptTokens} + ${newTokens} tokens\n`,
      );
      process.stdout.write(`prefill  ${Math.round(speed.prefill)} tokens/s\n`);
      process.stdout.write(`decode   ${Math.round(speed.decode)} tokens/s\n`);
    });
}

interface BenchFlags {
  promptTokens: number;
  newTokens: number;
  batch: number;
  json?: true;
}
