import { argmax } from '../ops/argmax';
import type { KVCache } from '../ops/kv-cache';
import { endOfSequence, samplingKeys, sampleStep } from '../ops/sample';
import { memory, type DeviceName } from '../tensor/device';
import { Channel, Program } from '../tensor/program';
import { scope } from '../tensor/scope';
import { tensor, type Tensor } from '../tensor/tensor';
import type { GenerationSettings } from './options';

/** All that generation knows of a model. */
export interface DecoderModel {
  readonly device: DeviceName;
  createCache(batch: number, capacity: number): KVCache;
  /** Runs ragged tokens, advances the cache and returns logits [R, V] of `rows` [R] (default: all tokens). */
  forward(input: {
    ids: Tensor;
    positions: Tensor;
    cuSeqlens: Tensor;
    cache: KVCache;
    /** [M] int32: last positions of the whole rows, where a step runs but a part of them. */
    last?: Tensor;
    rows?: Tensor;
  }): { logits: Tensor };
}

/** Steps a native loop runs at most before it comes back; two loops are kept queued. */
const LOOP_STEPS = 32;
const LOOPS_QUEUED = 2;

/** Ops that may wait already when a generation begins; many begin at once in a server. */
const BUSY_QUEUE = 1024;

/** Resolves once what is queued now has run. */
async function roomInQueue(device: DeviceName): Promise<void> {
  await Promise.resolve();
  if (memory(device).pending <= BUSY_QUEUE) return;
  using marker = tensor(new Int32Array(0), [0], { device });
  await marker.ready();
}

/** [n] int32 */
function int32(device: DeviceName, values: readonly number[] | Int32Array): Tensor {
  return tensor(Int32Array.from(values), [values.length], { device });
}

/** 0, then running totals. */
function cumulative(lengths: readonly number[]): number[] {
  let total = 0;
  return [0, ...lengths.map((length) => (total += length))];
}

/** What stays on the device from step to step. */
class State implements Disposable {
  readonly cache: KVCache;
  /** [B] int32: the tokens that the next step reads. */
  readonly tokens: Tensor;
  readonly finished: Tensor;
  readonly ends: Tensor;
  readonly keys: Tensor;
  /** cuSeqlens of a step of one token a row. */
  readonly single: Tensor;

  constructor(model: DecoderModel, prompts: readonly Int32Array[], settings: GenerationSettings) {
    const batch = prompts.length;
    const longest = Math.max(...prompts.map((prompt) => prompt.length));
    this.cache = model.createCache(batch, longest + settings.maxSteps);
    const { device } = model;
    this.tokens = int32(device, new Int32Array(batch));
    this.finished = int32(device, new Int32Array(batch));
    this.ends = int32(device, settings.eosTokenIds);
    this.keys = samplingKeys(settings.rows, device);
    this.single = int32(device, cumulative(prompts.map(() => 1)));
  }

  [Symbol.dispose](): void {
    for (const part of [this.cache, this.tokens, this.finished, this.ends, this.keys, this.single]) part.dispose();
  }
}

/** The end of every step: choose, see who has ended, tell. */
function choose(logits: Tensor, state: State, settings: GenerationSettings, channel: Channel): void {
  const { sampling, padTokenId } = settings;
  const chosen = sampling ? sampleStep(logits, state.keys, state.cache.lengths, sampling) : argmax(logits);
  endOfSequence(chosen, state.ends, padTokenId, state.tokens, state.finished);
  channel.emit(state.tokens, state.finished);
}

/**
 * Reads the prompts, in chunks counted from their ends so that all rows end in the last one, and chooses first tokens.
 * One chunk is queued at a time.
 */
async function prefill(
  model: DecoderModel,
  prompts: readonly Int32Array[],
  state: State,
  settings: GenerationSettings,
  channel: Channel,
): Promise<void> {
  const { prefillChunkSize } = settings;
  let left = Math.max(...prompts.map((prompt) => prompt.length));
  for (; left > prefillChunkSize; left -= prefillChunkSize) {
    using logits = channel.guard(() => readChunk(model, prompts, state, left, left - prefillChunkSize));
    await logits.ready();
  }
  channel.guard(() => {
    scope(() => {
      choose(readChunk(model, prompts, state, left, 0), state, settings, channel);
    });
  });
}

/** Runs the tokens that lie between `from` and `to`, counted from the ends of the rows; logits of the last ones. */
function readChunk(
  model: DecoderModel,
  prompts: readonly Int32Array[],
  state: State,
  from: number,
  to: number,
): Tensor {
  const { device } = model;
  return scope(() => {
    const begins = prompts.map((prompt) => Math.max(0, prompt.length - from));
    const tokens = prompts.map((prompt, b) => prompt.subarray(begins[b], Math.max(0, prompt.length - to)));
    const ends = cumulative(tokens.map((row) => row.length));
    const { logits } = model.forward({
      ids: int32(
        device,
        tokens.flatMap((row) => [...row]),
      ),
      positions: int32(
        device,
        tokens.flatMap((row, b) => Array.from(row, (_, i) => (begins[b] ?? 0) + i)),
      ),
      cuSeqlens: int32(device, ends),
      cache: state.cache,
      last: int32(
        device,
        prompts.map((prompt) => prompt.length - 1),
      ),
      rows: int32(device, to === 0 ? ends.slice(1).map((end) => end - 1) : []),
    });
    return logits;
  });
}

/**
 * Continues prompts: yields the tokens of one or more whole steps, [steps × batch], as they come. The prompts run
 * eagerly; then one recorded step is replayed by native loops, so that JavaScript is not waited for. Ending the
 * iteration early ends the work.
 *
 * @throws the signal's reason; whatever made an op fail.
 */
export async function* decode(
  model: DecoderModel,
  prompts: readonly Int32Array[],
  settings: GenerationSettings,
): AsyncGenerator<Int32Array, void, undefined> {
  const { signal, maxSteps } = settings;
  // Also a turn of the microtasks: the caller may stand in a scope, which would take the tensors made here.
  do await roomInQueue(model.device);
  while (memory(model.device).pending > BUSY_QUEUE);
  signal?.throwIfAborted();
  using channel = new Channel(model.device);
  const abort = () => {
    channel.abort();
  };
  signal?.addEventListener('abort', abort);
  try {
    using state = new State(model, prompts, settings);
    await prefill(model, prompts, state, settings, channel);
    using program = Program.record(() => {
      const { tokens: ids, single: cuSeqlens, cache } = state;
      choose(model.forward({ ids, positions: cache.lengths, cuSeqlens, cache }).logits, state, settings, channel);
    });
    const loops: number[] = []; // steps asked of each loop in the queue
    let unasked = maxSteps - 1; // steps that no loop was asked for
    let missing = maxSteps * prompts.length; // tokens yet to come
    for (let done = false; !done && missing > 0;) {
      signal?.throwIfAborted(); // loops queued from here on would run no step, and tell of none that failed
      while (loops.length < LOOPS_QUEUED && unasked > 0) {
        const steps = Math.min(LOOP_STEPS, unasked);
        program.loop(channel, steps);
        loops.push(steps);
        unasked -= steps;
      }
      for (const news of await channel.take()) {
        if (news.error) throw news.error;
        // A loop that ran out of its turn gives back what it did not do.
        for (const steps of loops.splice(0, news.finishedLoops)) unasked += steps;
        unasked -= news.steps;
        missing -= news.tokens.length;
        done ||= news.done;
        if (news.tokens.length > 0) yield news.tokens;
      }
    }
  } catch (error) {
    signal?.throwIfAborted(); // what it made fail is not the news
    throw error;
  } finally {
    channel.stop();
    signal?.removeEventListener('abort', abort);
  }
}
