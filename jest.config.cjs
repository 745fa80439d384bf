'use strict';

/** @type {import('jest').Config} */
module.exports = {
  // tsc has compiled the tests: jest runs plain CommonJS, and sees nothing but them.
  roots: ['<rootDir>/build/test'],
  transform: {},
  testEnvironment: '<rootDir>/test/realm-env.cjs',
  testTimeout: 60_000,
  // Every op uses all cores already, and timing tests must run alone.
  maxWorkers: 1,
};
