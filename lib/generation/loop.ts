import type { DeviceName } from '../tensor/device';
import { Channel, Program } from '../tensor/program';
import { isBusy, roomInQueue } from '../tensor/queue';
import { scope } from '../tensor/scope';
import type { Tensor } from '../tensor/tensor';
import { prefill } from './prefill';
import type { Rows } from './rows';
import type { Strategy } from './strategy';

/** Steps a native loop runs at most before it comes back; two loops are kept queued. */
const LOOP_STEPS = 32;
const LOOPS_QUEUED = 2;

export interface LoopSettings {
  maxSteps: number;
  /** Prompts are read in pieces of so many tokens a row. */
  prefillChunkSize: number;
  signal: AbortSignal | undefined;
}

/** What a generation runs: made once there is room for it. */
export interface Task extends Disposable {
  readonly rows: Rows;
  readonly strategy: Strategy;
  /** Where JavaScript has a say in every step: what becomes of logits [R, V] before they are chosen from. */
  readonly onLogits?: ((logits: Tensor) => Promise<Tensor>) | undefined;
}

/**
 * Runs a task: yields what its steps send, that of whole steps, as it comes. The prompts run eagerly; then one recorded
 * step is replayed by native loops, so that JavaScript is not waited for. Ending the iteration early ends the work.
 *
 * @param begin makes the task, which is disposed of at the end.
 * @throws the signal's reason; whatever made an op fail.
 */
export async function* decode<T extends Task>(
  device: DeviceName,
  begin: () => T,
  settings: LoopSettings,
): AsyncGenerator<{ task: T; news: Int32Array }, void, undefined> {
  const { signal, maxSteps, prefillChunkSize } = settings;
  // Also a turn of the microtasks: the caller may stand in a scope, which would take the tensors made here.
  do await roomInQueue(device);
  while (isBusy(device));
  signal?.throwIfAborted();
  using channel = new Channel(device);
  const abort = () => {
    channel.abort();
  };
  signal?.addEventListener('abort', abort);
  try {
    using task = begin();
    const run = task.onLogits ? stepwise : replay;
    for await (const news of run(task, prefillChunkSize, maxSteps, channel, signal)) yield { task, news };
    await task.strategy.finish?.();
  } catch (error) {
    signal?.throwIfAborted(); // what it made fail is not the news
    throw error;
  } finally {
    channel.stop();
    signal?.removeEventListener('abort', abort);
  }
}

type Steps = AsyncGenerator<Int32Array, void, undefined>;

/** Reads the prompts and replays a recorded step. */
async function* replay(
  { rows, strategy }: Task,
  prefillChunkSize: number,
  maxSteps: number,
  channel: Channel,
  signal: AbortSignal | undefined,
): Steps {
  {
    using logits = await prefill(rows, prefillChunkSize, channel);
    channel.guard(() => {
      scope(() => {
        strategy.choose(logits, channel);
      });
    });
  }
  using program = Program.record(() => {
    strategy.choose(step(rows), channel);
  });
  const loops: number[] = []; // steps asked of each loop in the queue
  let unasked = maxSteps - 1; // steps that no loop was asked for
  let missing = maxSteps * strategy.newsWidth; // numbers yet to come
  for (let done = false; !done && missing > 0;) {
    signal?.throwIfAborted(); // loops queued from here on would run no step, and tell of none that failed
    while (loops.length < LOOPS_QUEUED && unasked > 0) {
      const count = Math.min(LOOP_STEPS, unasked);
      program.loop(channel, count);
      loops.push(count);
      unasked -= count;
    }
    for (const news of await channel.take()) {
      if (news.error) throw news.error;
      // A loop that ran out of its turn gives back what it did not do.
      for (const count of loops.splice(0, news.finishedLoops)) unasked += count;
      unasked -= news.steps;
      missing -= news.tokens.length;
      done ||= news.done;
      if (news.tokens.length > 0) yield news.tokens;
    }
  }
}

/** Reads the prompts and runs step by step, logits in JavaScript's hands in between. */
async function* stepwise(
  { rows, strategy, onLogits }: Task,
  prefillChunkSize: number,
  maxSteps: number,
  channel: Channel,
  signal: AbortSignal | undefined,
): Steps {
  for (let steps = 0, done = false; steps < maxSteps && !done; ++steps) {
    signal?.throwIfAborted();
    using logits =
      steps === 0 ? await prefill(rows, prefillChunkSize, channel) : channel.guard(() => scope(() => step(rows)));
    using processed = await onLogits!(logits);
    channel.guard(() => {
      scope(() => {
        strategy.choose(processed, channel);
      });
    });
    for (let missing = strategy.newsWidth; missing > 0;) {
      for (const news of await channel.take()) {
        if (news.error) throw news.error;
        missing -= news.tokens.length;
        done ||= news.done;
        if (news.tokens.length > 0) yield news.tokens;
      }
    }
  }
}

/** Runs the model on the tokens that were chosen: logits [R, V]. */
function step({ tokens: ids, single: cuSeqlens, cache, model }: Rows): Tensor {
  return model.forward({ ids, positions: cache.lengths, cuSeqlens, cache }).logits;
}
