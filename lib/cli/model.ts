import { SingleBar } from 'cli-progress';
import { InvalidArgumentError, type Command } from 'commander';
import { loadModel, type Device, type Model } from '../index';

export interface ModelFlags {
  device?: string;
  dtype?: 'float32' | 'float16' | 'bfloat16';
  quantize?: 'int8' | 'int4';
  cacheDtype?: 'float32' | 'float16' | 'bfloat16' | 'int8';
}

/** The options of every command that loads a model. */
export function addModelFlags(command: Command): Command {
  return command
    .argument('<model>', "a Hugging Face folder, or 'builtin:shakespeare'")
    .option('--device <device>', "'cpu', 'cuda', 'cuda:1' …; default: the first GPU, else the CPU")
    .option('--dtype <dtype>', "'float32', 'bfloat16' or 'float16'")
    .option('--quantize <dtype>', "weights of linear layers: 'int8' or 'int4'")
    .option('--cache-dtype <dtype>', "keys and values: 'int8', or a half dtype beside float32");
}

/** Loads a model; shows how far it is, with the time left, where a person looks on. */
export async function openModel(folder: string, flags: ModelFlags, signal?: AbortSignal): Promise<Model> {
  const bar = process.stderr.isTTY
    ? new SingleBar({ format: 'loading {bar} {percentage} % | {eta_formatted} left', clearOnComplete: true })
    : undefined;
  try {
    return await loadModel(folder, {
      device: flags.device as Device | undefined,
      dtype: flags.dtype,
      quantize: flags.quantize,
      cacheDtype: flags.cacheDtype,
      signal,
      onProgress: ({ loaded, total }) => {
        if (bar && !bar.isActive) bar.start(total, loaded);
        bar?.update(loaded);
      },
    });
  } finally {
    bar?.stop();
  }
}

/** The words of the command line, or else standard input, to its end. */
export async function promptOf(words: readonly string[]): Promise<string> {
  if (words.length > 0) return words.join(' ');
  if (process.stdin.isTTY) throw new RangeError('no text: give it as an argument, or on standard input');
  const parts: Buffer[] = [];
  for await (const part of process.stdin) parts.push(part as Buffer);
  return Buffer.concat(parts).toString();
}

/** Parsers of option values. */
export function wholeNumber(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value)) throw new InvalidArgumentError('It must be a whole number.');
  return value;
}
export function decimal(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value)) throw new InvalidArgumentError('It must be a number.');
  return value;
}
/** '800M', '8G', '8GiB': powers of 1024, as memory is sold. */
export function byteCount(text: string): number {
  const [, digits, unit = ''] = /^(\d+(?:\.\d+)?)\s*([kmgt]?)(?:i?b)?$/i.exec(text) ?? [];
  if (digits === undefined) throw new InvalidArgumentError("It must be bytes, such as '800M' or '8G'.");
  return Math.floor(Number(digits) * 1024 ** ['', 'k', 'm', 'g', 't'].indexOf(unit.toLowerCase()));
}

/** 1234567 → '1.23 M' */
export function short(value: number, unit = ''): string {
  const step = value < 1000 ? 0 : Math.min(6, Math.floor(Math.log10(value) / 3));
  const digits = step === 0 ? String(Math.round(value)) : (value / 1000 ** step).toPrecision(3);
  return `${digits} ${['', 'k', 'M', 'G', 'T', 'P', 'E'][step]}${unit}`.trim();
}
