/** Which keys a query may attend to. */
export interface Mask {
  readonly kind: 'causal';
}

/** Masks are values; `attention` takes one. */
export const mask = {
  /** Query i sees the keys up to its own position: the last query sees every key, as with a cache. */
  causal(): Mask {
    return Object.freeze({ kind: 'causal' });
  },
};
