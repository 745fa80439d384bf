import type { Command } from 'commander';
import { devices, type ModelInfo } from '../index';
import { addModelFlags, byteCount, openModel, promptOf, short, wholeNumber, type ModelFlags } from './model';

const json = (value: unknown): void => void process.stdout.write(`${JSON.stringify(value)}\n`);

function table(rows: readonly (readonly [name: string, value: string])[]): void {
  const width = Math.max(...rows.map(([name]) => name.length));
  for (const [name, value] of rows) process.stdout.write(`${name.padEnd(width)}  ${value}\n`);
}

function describe(info: ModelInfo, { length, batch }: { length: number; batch: number }): [string, string][] {
  const { parameters: p, fits, training } = info;
  const part = (name: string, size: number): [string, string] => [
    `  ${name}`,
    `${short(size)} (${((100 * size) / p.total).toFixed(1)} %)`,
  ];
  const rows: [string, string][] = [
    ['architecture', info.architecture],
    ['runs on', [info.device, info.dtype, info.quantize].filter(Boolean).join(', ')],
    [
      'layers',
      `${info.numLayers} × ${info.width}, ${info.numHeads} heads of ${info.headDim}, ${info.numKvHeads} of keys`,
    ],
    ['vocabulary', `${info.vocabSize}`],
    ['context', `${info.contextLength} tokens`],
    ['parameters', short(p.total)],
    part('embedding', p.embedding),
    part('attention', p.attention),
    part('feed-forward', p.feedForward),
    part('norms', p.norm),
    part('head', p.head),
    ['weights', short(info.weightBytes, 'B')],
    ['cache', `${short(info.cacheBytesPerToken, 'B')} a token, ${info.cacheDtype}`],
    ['operations', `${short(info.flops.perToken, 'FLOP')} for a token behind ${length - 1}`],
    ['', `${short(info.flops.prompt, 'FLOP')} for a prompt of ${length}`],
  ];
  if (fits) {
    rows.push(['fits', `${fits.batchAtLength} × ${length} tokens, or ${batch} × ${fits.lengthAtBatch}`]);
  }
  rows.push(
    ['trained best on', `${short(training.chinchillaTokens)} tokens, ${short(training.chinchillaFlops, 'FLOP')}`],
    ['then, by Chinchilla', `${training.chinchillaLoss.toFixed(2)} nats a token of web text`],
    ['at best, by Kaplan', `${training.kaplanLoss.toFixed(2)} nats a token of web text`],
  );
  return rows;
}

/** `heddle info`, `heddle devices`, `heddle score`. */
export function addReports(program: Command): void {
  addModelFlags(program.command('info'))
    .description('sizes, operations and memory of a model')
    .option('--length <tokens>', 'of a prompt; default: the context length', wholeNumber)
    .option('--batch <sequences>', 'at once', wholeNumber, 1)
    .option('--memory <bytes>', "to fit weights and cache in, such as '8G'", byteCount)
    .option('--json', 'as one line of JSON')
    .addHelpText('after', '\nExample:\n  $ heddle info ./llama --memory 24G --length 4096')
    .action(async (folder: string, flags: ModelFlags & InfoFlags) => {
      await using model = await openModel(folder, flags);
      const { batch, memory, length = model.contextLength } = flags;
      const info = model.info({ length, batch, memory });
      if (flags.json) json(info);
      else table(describe(info, { length, batch }));
    });

  program
    .command('devices')
    .description('what models can run on')
    .option('--json', 'as one line of JSON')
    .addHelpText('after', '\nExample:\n  $ heddle devices --json')
    .action((flags: { json?: true }) => {
      const [cpu, ...cuda] = devices();
      if (flags.json) {
        json([cpu, ...cuda]);
        return;
      }
      table([
        [cpu.device, `${cpu.threads} threads, ${cpu.instructionSet}`],
        ...cuda.map(({ device, reason, name, memory = 0, computeCapability }): [string, string] => [
          device,
          reason ?? `${name}, ${short(memory, 'B')}, compute capability ${computeCapability}`,
        ]),
      ]);
    });

  addModelFlags(program.command('score'))
    .argument('[text...]', 'default: standard input')
    .description('how likely a model finds a text')
    .option('--json', 'as one line of JSON, with every token')
    .addHelpText(
      'after',
      '\nExamples:\n  $ heddle score builtin:shakespeare "To be, or not to be"\n  $ heddle score ./gpt2 < essay.txt',
    )
    .action(async (folder: string, words: string[], flags: ModelFlags & { json?: true }) => {
      const text = await promptOf(words);
      await using model = await openModel(folder, flags);
      const scored = await model.score(text);
      if (flags.json) {
        json({ ...scored, perplexity: Number.isNaN(scored.perplexity) ? null : scored.perplexity });
        return;
      }
      const { tokens, logprobs, total, perplexity } = scored;
      table([
        ['tokens', `${tokens.length}`],
        ['log-likelihood', `${total.toFixed(3)} nats`],
        ['mean', `${(-total / logprobs.length).toFixed(4)} nats a token`],
        ['perplexity', perplexity.toFixed(3)],
      ]);
    });
}

interface InfoFlags {
  length?: number;
  batch: number;
  memory?: number;
  json?: true;
}
