import { setImmediate } from 'node:timers/promises';
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
  /** Milliseconds after which no step begins. */
  maxTime: number;
  signal: AbortSignal | undefined;
  /** The signal ends the work between steps only, so that the cache may be used again. Default false. */
  keepsCache?: boolean | undefined;
}

/** What a generation runs. */
export interface Task<Output> extends Disposable {
  readonly rows: Rows;
  readonly strategy: Strategy | undefined;
  /** A way of its own to run, where there is no strategy: yields what `receive` takes. */
  run?(run: Run<Output>): Steps;
  /**
   * Where JavaScript has a say in every step: logits [R, V] → the scores that the strategy picks from, instead of its
   * own `process`.
   */
  readonly process?: ((logits: Tensor) => Promise<Tensor>) | undefined;
  /** Before the prompts are read. */
  start?(channel: Channel): Promise<void> | undefined;
  /** What the numbers that steps sent say: of whole steps. */
  receive(news: Int32Array): Iterable<Output>;
  /** Nothing more is wanted. */
  readonly done: boolean;
  /** Whether there are rows of which nothing more is wanted, and which `narrow` takes out between steps. */
  readonly canNarrow?: boolean;
  narrow?(): void;
  /** Once no more steps come, while the tensors are there. */
  finish(): Promise<Iterable<Output>>;
}

/** A generation on its way. */
export interface Run<Output> extends LoopSettings {
  task: Task<Output>;
  channel: Channel;
  deadline: number;
}

/**
 * Runs a task: yields what comes of its steps, as it comes. The prompts run eagerly; then one recorded step is replayed
 * by native loops, so that JavaScript is not waited for, or step by step where JavaScript has a say. Ending the
 * iteration early ends the work.
 *
 * @param begin makes the task, once there is room for it; it is disposed of at the end.
 * @throws the signal's reason; whatever made an op fail.
 */
export async function* decode<Output>(
  device: DeviceName,
  begin: () => Task<Output>,
  settings: LoopSettings,
): AsyncGenerator<Output, void, undefined> {
  const { signal, maxTime } = settings;
  const deadline = performance.now() + maxTime;
  // A turn of the event loop, since what comes is a millisecond of JavaScript; also of the microtasks: the caller may stand
  // in a scope, which would take the tensors made here.
  await setImmediate();
  do await roomInQueue(device);
  while (isBusy(device));
  signal?.throwIfAborted();
  using channel = new Channel(device);
  const abort = () => {
    if (settings.keepsCache) channel.stop();
    else channel.abort();
  };
  signal?.addEventListener('abort', abort);
  try {
    using task = channel.guard(begin);
    // The prompts are queued at once where nothing comes before them: others then see that there is less room.
    const started = task.start?.(channel);
    if (started) await started;
    const run = { ...settings, task, channel, deadline };
    const steps = task.run?.(run) ?? (task.process ? stepwise(run) : replay(run));
    for await (const news of steps) {
      yield* task.receive(news);
      if (task.done) break;
    }
    yield* await task.finish();
  } catch (error) {
    signal?.throwIfAborted(); // what it made fail is not the news
    throw error;
  } finally {
    channel.stop();
    signal?.removeEventListener('abort', abort);
  }
}

export type Steps = AsyncGenerator<Int32Array, void, undefined>;

/** Reads the prompts and replays a recorded step. */
async function* replay<Output>(run: Run<Output>): Steps {
  const { channel, maxSteps } = run;
  const { rows } = run.task;
  const strategy = run.task.strategy!;
  const choose = (logits: Tensor) => {
    strategy.pick(strategy.process(logits), logits, channel);
  };
  {
    using logits = await prefill(rows, run.prefillChunkSize, channel);
    channel.guard(() => {
      scope(() => {
        choose(logits);
      });
    });
  }
  const left: StepsLeft = { unasked: maxSteps - 1, missing: maxSteps };
  for (let ended = false; !ended;) {
    ended = yield* loopSteps(run, left);
    if (ended) return;
    channel.guard(() => {
      run.task.narrow?.();
    });
  }
}

interface StepsLeft {
  /** Steps that no loop was asked for. */
  unasked: number;
  /** Steps whose news has not come. */
  missing: number;
}

/** Fewer steps than this are not worth a new recording. */
const WORTH_NARROWING = 8;

/** Replays a recorded step: whether that was the end, or else there are rows to be taken out. */
async function* loopSteps<Output>(
  { task, channel, signal, deadline }: Run<Output>,
  left: StepsLeft,
): AsyncGenerator<Int32Array, boolean, undefined> {
  const { rows } = task;
  const strategy = task.strategy!;
  using program = Program.record(() => {
    const logits = step(rows);
    strategy.pick(strategy.process(logits), logits, channel);
  });
  const loops: number[] = []; // steps asked of each loop in the queue
  for (let done = false; !done && left.missing > 0;) {
    signal?.throwIfAborted(); // loops queued from here on would run no step, and tell of none that failed
    const late = performance.now() >= deadline;
    const narrows = !late && task.canNarrow === true && left.unasked >= WORTH_NARROWING;
    if ((late || narrows) && loops.length === 0 && left.missing === left.unasked) return late;
    while (!late && !narrows && loops.length < LOOPS_QUEUED && left.unasked > 0) {
      const count = Math.min(LOOP_STEPS, left.unasked);
      program.loop(channel, count);
      loops.push(count);
      left.unasked -= count;
    }
    for (const news of await channel.take()) {
      if (news.error) throw news.error;
      // A loop that ran out of its turn gives back what it did not do.
      for (const count of loops.splice(0, news.finishedLoops)) left.unasked += count;
      left.unasked -= news.steps;
      left.missing -= news.tokens.length / strategy.newsWidth;
      done ||= news.done;
      if (news.tokens.length > 0) yield news.tokens;
    }
  }
  return true;
}

/** Reads the prompts and runs step by step, with the logits in JavaScript's hands in between. */
async function* stepwise<Output>(run: Run<Output>): Steps {
  const { channel, signal, maxSteps, deadline, task } = run;
  const { rows } = task;
  const strategy = task.strategy!;
  for (let steps = 0, done = false; steps < maxSteps && !done && performance.now() < deadline; ++steps) {
    signal?.throwIfAborted();
    using logits =
      steps === 0 ? await prefill(rows, run.prefillChunkSize, channel) : channel.guard(() => scope(() => step(rows)));
    using scores = await task.process!(logits);
    channel.guard(() => {
      scope(() => {
        strategy.pick(scores, logits, channel);
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

/** Runs the model on the tokens that were picked: logits [R, V]. */
function step({ tokens: ids, single: cuSeqlens, cache, model }: Rows): Tensor {
  return model.forward({ ids, positions: cache.lengths, cuSeqlens, cache }).logits;
}
