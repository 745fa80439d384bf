import type { Tensor } from './tensor';

const open: Set<Tensor>[] = [];
let escaped: (tensor: Tensor) => void;

/** For the library: what is done with a tensor that no scope will dispose of. */
export function onEscape(callback: (tensor: Tensor) => void): void {
  escaped = callback;
}

/** For the library: a new tensor belongs to the innermost open scope, if there is one. */
export function enter(tensor: Tensor): void {
  const scope = open.at(-1);
  if (scope) scope.add(tensor);
  else escaped(tensor);
}

/**
 * Runs `body` and disposes of every tensor made in it, except those in what it returns (in arrays and objects, at any
 * depth): these then belong to the scope around, if any. Views hold their storage by themselves.
 *
 * @throws TypeError if `body` is not a function, or returns a promise: a scope is synchronous. Queue ops in it and await
 *   `data()` of the result outside.
 */
export function scope<T>(body: () => T): T {
  if (typeof body !== 'function') throw new TypeError(`[scope] body must be a function but got ${typeof body}`);
  const mine = new Set<Tensor>();
  open.push(mine);
  let kept: Set<unknown> = new Set();
  try {
    const result = body();
    if (typeof (result as { then?: unknown } | null | undefined)?.then === 'function') {
      void Promise.resolve(result).catch(() => undefined); // what becomes of it is not the news
      throw new TypeError('[scope] body returned a promise: a scope is synchronous');
    }
    kept = reachable(result);
    return result;
  } finally {
    open.pop();
    for (const tensor of mine) {
      if (kept.has(tensor)) enter(tensor);
      else tensor.dispose();
    }
  }
}

/** Every object that can be reached from a value. */
function reachable(root: unknown): Set<unknown> {
  const seen = new Set<unknown>();
  const left = [root];
  while (left.length > 0) {
    const value = left.pop();
    if (typeof value !== 'object' || value === null || seen.has(value)) continue;
    seen.add(value);
    if (ArrayBuffer.isView(value)) continue;
    const parts: unknown[] = value instanceof Map || value instanceof Set ? [...value].flat() : Object.values(value);
    for (const part of parts) left.push(part);
  }
  return seen;
}
