import * as heddle from '#lib/index';
import { VALID } from './fuzz-calls';
import { Junk } from './fuzz-values';
import { Random } from './random';

// For a process of its own: calls every public function with arguments of which some are junk. Prints how many calls, how
// many functions there are and which of them were not called, and what came back that is neither a value, nor a TypeError
// or RangeError, nor an error with a code. Arguments: seed, calls, most seconds.

const [seed = 1, CALLS = 6000, seconds = 10] = process.argv.slice(2).map(Number);

/** Something that can be called: a function, a method of some object, or a class. */
interface Target {
  readonly name: string;
  readonly call: (values: readonly unknown[]) => unknown;
}
type Anything = (...values: readonly unknown[]) => unknown;
type AnyClass = (new (...values: readonly unknown[]) => object) & Record<string, Anything> & { prototype: object };

const random = new Random(seed);
const junk = new Junk(random);

/** Classes whose objects come from elsewhere, and where from. */
function instances(model: heddle.Model): Readonly<Record<string, () => object>> {
  return {
    Tensor: () => junk.tensor(),
    KVCache: () => junk.cache(),
    Mask: () => heddle.mask.causal().or(heddle.mask.globalTokens([0])),
    Bias: () => heddle.bias.alibi(2),
    Model: () => model,
    Session: () => model.session(),
    Tokenizer: () => model.tokenizer!,
    Detokenizer: () => new heddle.Detokenizer(model.tokenizer!),
  };
}
/** Those that users do not make by `new`. */
const PRIVATE = ['Tensor', 'Mask', 'Bias', 'LogitsProcessor', 'Model', 'Session', 'Tokenizer'];
/** What ends the model that others are called on, and what trusts ids that were checked before. */
const LEFT_OUT = ['Model.dispose', 'Tokenizer.decodeTokens', 'KVCache.pick', 'KVCache.picked', 'nn.Source.pick'];

const isClass = (value: unknown): value is AnyClass => /^class\b/.test(String(value));

function* methodsOf(prototype: object): Generator<string> {
  for (let at = prototype; at !== Object.prototype; at = Object.getPrototypeOf(at) as object) {
    for (const [name, { value }] of Object.entries(Object.getOwnPropertyDescriptors(at))) {
      if (name !== 'constructor' && typeof value === 'function') yield name;
    }
  }
}

/** All that can be reached from an object of exports. */
function* targets(exports: object, made: ReturnType<typeof instances>, prefix = ''): Generator<Target> {
  for (const [key, value] of Object.entries(exports) as [string, unknown][]) {
    const name = prefix + key;
    if (isClass(value)) {
      const make = made[name] ?? (() => new value(...VALID[name]!()));
      if (!PRIVATE.includes(name)) yield { name, call: (values) => new value(...values) };
      for (const method of Object.getOwnPropertyNames(value)) {
        const own: unknown = Object.getOwnPropertyDescriptor(value, method)?.value;
        if (typeof own === 'function') yield { name: `${name}.${method}`, call: (values) => value[method]!(...values) };
      }
      for (const method of new Set(methodsOf(value.prototype))) {
        const call = (values: readonly unknown[]) => (make() as Record<string, Anything>)[method]!(...values);
        if (!LEFT_OUT.includes(`${name}.${method}`)) yield { name: `${name}.${method}`, call };
      }
    } else if (typeof value === 'function') {
      yield { name, call: (values) => (value as Anything)(...values) };
    } else if (typeof value === 'object' && value !== null) {
      yield* targets(value, made, `${name}.`);
    }
  }
}

/** What recipes and the library call, with arguments of their own making: JavaScript's own TypeErrors will do. */
const TRUSTING = new RegExp(
  `^(${[
    'nn.(FeedForward|HeadProjections|(Self|Cross|BertSelf)Attention|TransformerBlock|Source)(.\\w+)?',
    'nn.(Decoder|Encoder|EncoderDecoder)(.\\w+)?',
    'nn.(LongformerAttention|Capture|Rotary.rotation|Linear.load|Norm.load)(.\\w+)?',
    '(Mask|Bias|LogitsProcessor).(of|piece|lower)|Tokenizer.checkId|KVCache.picked?|QueueFullError',
  ].join('|')})$`,
);

const wrong: string[] = [];
function judge(name: string, error: unknown): void {
  const { code } = (error ?? {}) as { code?: string };
  const meant = error instanceof TypeError || error instanceof RangeError || code !== undefined;
  const named = code !== undefined || (error instanceof Error && /^\[\w+(\.\w+)*\] /.test(error.message));
  if (!meant || !(named || TRUSTING.test(name)))
    wrong.push(`${name}: ${String(error)} ${(error as Error).stack ?? ''}`.slice(0, 600));
}

/** What comes later. */
async function settle(result: unknown): Promise<void> {
  const settled: unknown = await result;
  if (settled instanceof heddle.Model) await settled.dispose();
  if (settled instanceof heddle.Tensor && random.next() < 0.2 && !settled.disposed && settled.size < 1e6) {
    await settled.data();
  }
  if (typeof settled !== 'object' || settled === null) return;
  if ('toSVG' in settled && !(settled instanceof heddle.Mask)) await (settled as heddle.AttentionMap).toSVG();
  if (Symbol.asyncIterator in settled) for await (const piece of settled as AsyncIterable<unknown>) await piece;
}

/** Calls it with what `values` makes; what it threw or rejected with, if so. */
async function attempt(target: Target, values: () => readonly unknown[]): Promise<void> {
  let result: unknown;
  const made = heddle.scope(() => {
    result = target.call(values());
    return result instanceof heddle.Tensor ? result : undefined;
  });
  junk.keep(made);
  await settle(result);
}

async function main(): Promise<void> {
  const model = await heddle.loadModel('builtin:shakespeare');
  const all = [...targets(heddle, instances(model))];
  const device = heddle.defaultDevice();
  const { threads } = heddle.devices()[0];
  const uncalled = new Set(all.map(({ name }) => name));
  const began = Date.now();
  let calls = 0;
  for (; calls < CALLS && Date.now() - began < 1000 * seconds && wrong.length < 5; ++calls) {
    const target = calls < all.length ? all[calls]! : random.pick(all);
    const valid = VALID[target.name];
    await attempt(target, () => (valid && random.next() < 0.8 ? junk.spoil(valid()) : junk.values())).catch(
      (error: unknown) => {
        judge(target.name, error);
      },
    );
    uncalled.delete(target.name);
    heddle.setMemoryLimit(2 ** 30);
    heddle.setDefaultDevice(device);
    heddle.setNumThreads(threads);
    if (calls % 50 === 0) await heddle.sync().catch((error: unknown) => judge('sync', error));
    if (calls % 200 === 0) junk.renew();
  }
  console.log(JSON.stringify({ calls, functions: all.length, uncalled: [...uncalled], wrong }));
}
void main();
