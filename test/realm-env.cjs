'use strict';
// jest runs each test file in a context with globals of its own; what the addon makes belongs to the outer realm. Tests
// get the outer realm's typed arrays and errors, so that toBeInstanceOf(Float32Array) and toThrow(TypeError) mean what
// they say.

const { TestEnvironment } = require('jest-environment-node');

const TypedArray = Object.getPrototypeOf(Uint8Array);
const isShared = (value) =>
  typeof value === 'function' &&
  (value === Error ||
    value.prototype instanceof Error ||
    value.prototype instanceof TypedArray ||
    [ArrayBuffer, SharedArrayBuffer, DataView].includes(value));

module.exports = class RealmEnvironment extends TestEnvironment {
  constructor(config, context) {
    super(config, context);
    for (const name of Object.getOwnPropertyNames(globalThis)) {
      if (isShared(globalThis[name])) this.global[name] = globalThis[name];
    }
  }
};
