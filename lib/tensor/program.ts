import { native } from '../native';
import { defaultDevice, deviceNumber, type DeviceName } from './device';
import { scope } from './scope';
import { unwrap, type Tensor } from './tensor';

/**
 * A recorded list of ops that one call replays. Recording runs nothing. A replay reads its inputs as they are then and
 * overwrites the tensors that the recording returned; what else it made is gone after each replay.
 */
export class Program implements Disposable {
  private constructor(readonly handle: number) {}

  static record(body: () => void): Program {
    native.beginRecording();
    try {
      scope(body);
    } catch (error) {
      native.cancelRecording();
      throw error;
    }
    return new Program(native.endRecording());
  }

  /** Queues one replay. */
  run(): void {
    native.runProgram(this.handle);
  }

  /** Queues replays, `maxSteps` at most: see Channel. */
  loop(channel: Channel, maxSteps: number): void {
    native.runLoop(this.handle, channel.handle, maxSteps);
  }

  [Symbol.dispose](): void {
    native.disposeProgram(this.handle);
  }
}

/** What a channel has heard since the last time. */
export interface ChannelNews {
  /** Rows of whole steps. */
  readonly tokens: Int32Array;
  readonly finishedLoops: number;
  /** Steps that these loops ran. */
  readonly steps: number;
  /** Every row has met its end token. */
  readonly done: boolean;
  readonly error: Error | undefined;
}

/** Tokens on their way from a native loop to JavaScript. */
export class Channel implements Disposable {
  readonly handle: number;
  #news: ChannelNews[] = [];
  #wake: (() => void) | undefined;
  #closed = false;

  /** For work on one device. */
  constructor(readonly device: DeviceName = defaultDevice()) {
    const number = deviceNumber('Channel', 'device', device);
    this.handle = native.openChannel(number, (tokens, finishedLoops, steps, done, error) => {
      this.#news.push({ tokens, finishedLoops, steps, done, error });
      this.#wake?.();
    });
  }

  /** What has come since the last time; waits for something to come. Only this keeps the process alive. */
  async take(): Promise<ChannelNews[]> {
    if (this.#news.length === 0) {
      native.hold();
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      native.letGo();
    }
    return this.#news.splice(0);
  }

  /** In stream order: sends `tokens` [B], and whether `finished` [B] is set in all rows. */
  emit(tokens: Tensor, finished: Tensor): void {
    native.emit(unwrap('emit', 'tokens', tokens), unwrap('emit', 'finished', finished), this.handle);
  }

  /** What `body` queues runs only while this channel is not aborted. One guard at a time. */
  guard<T>(body: () => T): T {
    native.setAbortSource(this.handle, true);
    try {
      return body();
    } finally {
      native.setAbortSource(this.handle, false);
    }
  }

  /** Loops end before their next step. */
  stop(): void {
    if (!this.#closed) native.stopChannel(this.handle);
  }

  /** Guarded ops and loops end as soon as the op that runs is done, or the steps that a device with graphs has begun. */
  abort(): void {
    if (!this.#closed) native.abortChannel(this.handle);
  }

  [Symbol.dispose](): void {
    this.#closed = true;
    native.disposeChannel(this.handle);
  }
}
