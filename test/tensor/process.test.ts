import { defaultDevice } from '#lib/index';
import { runScript, type ChildOptions } from '../support/child';

/** Queues about a second of work (less on a simulated device) and leaves its result in `last`. */
const width = defaultDevice() === 'cpu' ? 1024 : 64;
const BUSY = `
const big = heddle.tensor(new Float32Array(${width ** 2}), [${width}, ${width}]);
let last = big;
for (let i = 0; i < 20; ++i) last = heddle.linear(last, big);`;

const scripts: [name: string, script: string, stdout: string, options?: ChildOptions][] = [
  [
    'a pending read keeps the process alive',
    `${BUSY} last.data().then((x) => console.log(x.length));`,
    `${width ** 2}\n`,
  ],
  ['a pending sync() does, too', `${BUSY} heddle.sync().then(() => console.log('drained'));`, 'drained\n'],
  [
    'an idle queue does not, nor does one with work that nobody waits for',
    `${BUSY} const began = Date.now();
    process.on('exit', () => console.log(Date.now() - began < 500 ? 'left' : 'waited'));`,
    'left\n',
  ],
  ['process.exit() with work queued is clean', `${BUSY} last.data(); process.exit(0);`, ''],
  [
    'an uncaught error with work queued is, too',
    `${BUSY} process.on('uncaughtException', () => process.exit(0)); throw 1;`,
    '',
  ],
  [
    'forgotten tensors are freed',
    `for (let round = 0; round < 20; ++round) {
      for (let i = 0; i < 100; ++i) heddle.tensor(new Float32Array(1000));
      globalThis.gc();
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    const { live } = heddle.memory();
    console.log(live < 20 * 100 * 4000 / 4 ? 'freed' : live);`,
    'freed\n',
    { flags: ['--expose-gc'] },
  ],
  [
    'forgotten tensors never fill the queue',
    `let x = heddle.tensor(new Float32Array(64), [8, 8]);
    for (let i = 0; i < 50; ++i) {
      for (let j = 0; j < 300; ++j) heddle.add(x, x);
      await x.data();
      if (i % 10 === 9) { globalThis.gc(); await new Promise((resolve) => setImmediate(resolve)); }
    }
    console.log('done');`,
    'done\n',
    { flags: ['--expose-gc'] },
  ],
  [
    'workers that compute are terminated in mid-work',
    `const { Worker } = require('node:worker_threads');
    const source = \`const heddle = require(\${JSON.stringify(require.resolve('./dist/index.js'))});
      const { parentPort } = require('node:worker_threads');
      const x = heddle.tensor(new Float32Array(${width ** 2 / 16}), [${width / 4}, ${width / 4}]);
      (async () => {
        for (let i = 0; ; ++i) {
          const y = heddle.linear(x, x); await y.data(); y.dispose();
          for (let j = 0; j < 20; ++j) heddle.linear(x, x).dispose();
          if (i === 2) parentPort.postMessage('busy');
        }
      })();\`;
    for (let round = 0; round < 3; ++round) {
      const workers = Array.from({ length: 3 }, () => new Worker(source, { eval: true, execArgv: [] }));
      await Promise.all(workers.map((worker) => new Promise((resolve) => worker.once('message', resolve))));
      await Promise.all(workers.map((worker) => worker.terminate()));
    }
    const x = heddle.tensor([1, 2]);
    console.log((await heddle.add(x, x).data()).join());`,
    '2,4\n',
  ],
  [
    'the process ends while workers compute',
    `const { Worker } = require('node:worker_threads');
    const source = \`const heddle = require(\${JSON.stringify(require.resolve('./dist/index.js'))});
      const x = heddle.tensor(new Float32Array(512 * 512), [512, 512]);
      for (let i = 0; i < 100; ++i) heddle.linear(x, x);
      require('node:worker_threads').parentPort.postMessage('busy');\`;
    const worker = new Worker(source, { eval: true, execArgv: [] });
    await new Promise((resolve) => worker.once('message', resolve));
    process.exit(0);`,
    '',
  ],
  [
    'reads that are resolved at once never starve a timer',
    `const x = heddle.tensor([1, 2, 3]);
    await heddle.sync();
    let ticks = 0, reads = 0;
    const timer = setInterval(() => { ticks += 1; }, 10);
    for (const end = Date.now() + 200; Date.now() < end; ++reads) await x.data();
    clearInterval(timer);
    console.log(ticks >= 5 && reads > 100 ? 'ticked' : \`\${ticks} ticks, \${reads} reads\`);`,
    'ticked\n',
  ],
];

// Three columns or four: jest would take a missing fourth for its callback.
test.each(scripts.map(([name, ...rest]) => [name, rest] as const))('%s', (_, [script, stdout, options]) => {
  const ended = runScript(script, options);
  expect(ended).toEqual({ status: 0, signal: null, stdout, stderr: '' });
});
