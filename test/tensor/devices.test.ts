import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import * as path from 'node:path';
import { add, defaultDevice, devices, loadModel, setDefaultDevice, tensor } from '#lib/index';
import { runScript } from '../support/child';

// Devices by their rules; what ops compute there is tested with HEDDLE_DEVICE=cuda by the tests of the ops.

test('a host without CUDA says why, and works', () => {
  const script = `
    const [cpu, cuda] = heddle.devices();
    console.log(cpu.device, cuda.device, cuda.reason);
    try { heddle.tensor([1], [1], { device: 'cuda' }); } catch (error) { console.log(error.name, error.message); }
    await heddle.loadModel('builtin:shakespeare', { device: 'cuda:3' }).catch((error) => console.log(error.message));
    const model = await heddle.loadModel('builtin:shakespeare');
    console.log(model.device);`;
  const { stdout, stderr } = runScript(script, { env: { HEDDLE_CUDA: 'off', HEDDLE_DEVICE: '' } });
  expect(stderr).toBe('');
  expect(stdout.split('\n')).toEqual([
    'cpu cuda HEDDLE_CUDA=off',
    'RangeError [device] cuda:0 cannot be used: HEDDLE_CUDA=off',
    '[loadModel] device cuda:3 cannot be used: HEDDLE_CUDA=off',
    'cpu',
    '',
  ]);
});

test.each([
  ['HEDDLE_DEVICE', 'gpu', /HEDDLE_DEVICE must be 'cpu', 'cuda' or 'cuda:n' but got "gpu"/],
  ['HEDDLE_CUDA', 'maybe', /HEDDLE_CUDA must be off or simulator but is maybe/],
])('%s=%s is a RangeError that says so', (name, value, message) => {
  const { status, stderr } = runScript('heddle.devices()', { env: { [name]: value } });
  expect(status).toBe(1);
  expect(stderr).toMatch(/RangeError/);
  expect(stderr).toMatch(message);
});

test('the default device can be named, and must be one', () => {
  const before = defaultDevice();
  expect(devices()[0].device).toBe('cpu');
  setDefaultDevice('cpu');
  expect(tensor([1]).device).toBe('cpu');
  expect(() => {
    setDefaultDevice('gpu' as 'cpu');
  }).toThrow(RangeError);
  expect(() => {
    setDefaultDevice('cuda:999');
  }).toThrow(/cuda:999 cannot be used/);
  expect(defaultDevice()).toBe('cpu');
  setDefaultDevice(before);
});

test('to() the device where it is: a view', async () => {
  using x = tensor([1, 2], [2], { device: 'cpu' });
  const y = x.to('cpu');
  x.dispose();
  expect(await add(y, y).data()).toEqual(Float32Array.of(2, 4));
});

test.each(['gpu', '', 1, null, 'cuda:', 'cuda:-1'])('loadModel refuses device %p', async (device) => {
  await expect(loadModel('builtin:shakespeare', { device: device as 'cpu' })).rejects.toThrow(
    /\[loadModel\] device must be/,
  );
});

/** Beside the addon. */
const simulator = path.resolve(process.env.HEDDLE_PREBUILD ?? '', 'build/Release/heddle-cuda-simulator.so');
const simulated = existsSync(simulator) ? test : test.skip;

function onSimulator(script: string, env: Record<string, string> = {}): unknown[] {
  const { stdout, stderr, status } = runScript(
    `const results = [];
    const told = (promise) => promise.then((x) => (x === undefined ? 'done' : [...x]), (error) => error.code ?? error.message);
    ${script}
    console.log(JSON.stringify(results));`,
    { env: { HEDDLE_CUDA: 'simulator', HEDDLE_DEVICE: 'cuda', ...env } },
  );
  expect({ stderr, status }).toEqual({ stderr: '', status: 0 });
  return JSON.parse(stdout) as unknown[];
}

simulated('tensors go from device to device, with their errors', () => {
  const results = onSimulator(`
    const x = heddle.tensor([1, 2, 3, 4, 5, 6], [2, 3]);
    const far = heddle.add(x, x).transpose().to('cuda:1');
    results.push(far.device, await told(far.data()), await told(far.to('cpu').data()));
    results.push(await told(heddle.packWeight(x).to('cpu').ready()));
    const bad = heddle.embedding(x, heddle.tensor([7], [1], { dtype: 'int32' })).to('cuda:1').to('cpu');
    results.push(await told(bad.data()), await told(heddle.sync()));
    for (const body of [() => heddle.add(x, far.transpose()), () => heddle.tensor([1], [1], { device: 'cuda:2' })]) {
      try { body(); } catch (error) { results.push(error.message); }
    }`);
  expect(results).toEqual([
    'cuda:1',
    [2, 8, 4, 10, 6, 12],
    [2, 8, 4, 10, 6, 12],
    'done',
    'INDEX_OUT_OF_RANGE',
    'done',
    '[add] tensors are on cuda:0 and on cuda:1: bring them to one device with to()',
    '[device] cuda:2 cannot be used: there are 2',
  ]);
});

simulated('what failed is known late, and settled in order', () => {
  // All is launched before anything is known to have failed.
  const results = onSimulator(`
    const table = heddle.tensor([1, 2], [2, 1]);
    const ids = (id) => heddle.tensor([id], [1], { dtype: 'int32' });
    const [bad, good] = [heddle.embedding(table, ids(9)), heddle.embedding(table, ids(1))];
    const sums = [heddle.add(bad, good), heddle.add(good, good)];
    const cache = new heddle.KVCache({ numLayers: 1, batch: 1, capacity: 64, numKvHeads: 1, headDim: 1 });
    const cu = heddle.tensor([0, 1], [2], { dtype: 'int32' });
    const key = (x) => x.reshape([1, 1, 1]);
    cache.append(0, key(bad), key(good), cu);
    const seen = heddle.attention(key(good), cache.layer(0), { cuSeqlens: cu });
    for (const x of [bad, good, ...sums, seen]) results.push(await told(x.data()));
    results.push(await told(heddle.sync()));`);
  expect(results).toEqual(['INDEX_OUT_OF_RANGE', [2], 'INDEX_OUT_OF_RANGE', [4], 'INDEX_OUT_OF_RANGE', 'done']);
});

simulated('more is launched than a device may run behind', () => {
  const results = onSimulator(`
    let x = heddle.tensor([0]);
    const one = heddle.tensor([1]);
    for (let i = 0; i < 2500; ++i) { const next = heddle.add(x, one); x.dispose(); x = next; }
    results.push(await told(x.data()), heddle.memory().pending);`);
  expect(results).toEqual([[2500], 0]);
});

simulated('a lost device refuses work with DEVICE_LOST; others go on', () => {
  const results = onSimulator(
    `const x = heddle.tensor([1, 2]);
    results.push(await told(x.data()));
    for (let i = 0; i < 4; ++i) results.push(await told(heddle.add(x, x).data()));
    results.push(await told(x.data()), await told(x.to('cpu').data()), await told(heddle.tensor([1]).data()));
    results.push(await told(heddle.sync().then(() => heddle.sync())));
    const other = heddle.tensor([3], [1], { device: 'cpu' });
    results.push(await told(heddle.add(other, other).data()));`,
    { HEDDLE_SIMULATOR_LOSE_AFTER: '2' },
  );
  const lost = 'DEVICE_LOST';
  expect(results).toEqual([[1, 2], [2, 4], [2, 4], lost, lost, lost, lost, lost, 'done', [6]]);
});

simulated('as many devices as are asked for', () => {
  const results = onSimulator(
    `const x = heddle.tensor([1, 2], [2], { device: 'cuda:19' });
    results.push(await told(heddle.add(x, x).data()), heddle.devices().length);`,
    { HEDDLE_SIMULATOR_DEVICES: '20' },
  );
  expect(results).toEqual([[2, 4], 21]);
});

simulated('a load that finds no memory rejects, and that is all', () => {
  const results = onSimulator(
    `results.push(await told(heddle.loadModel('builtin:shakespeare')), await told(heddle.sync()), heddle.memory().live);`,
    { HEDDLE_SIMULATOR_MEMORY: '300000' },
  );
  expect(results).toEqual(['OUT_OF_MEMORY', 'done', 0]);
});

const limited =
  process.platform === 'linux' && spawnSync('prlimit', ['--stack=1073741824', 'true']).status === 0
    ? simulated
    : test.skip;

limited('a device whose thread cannot start is an error', () => {
  // A thread takes a gigabyte of address space, and little more than what is in use is to be had.
  const script = `
    const heddle = require('./dist/index.js');
    heddle.devices();
    const [, size] = /VmSize:\\s+(\\d+)/.exec(require('node:fs').readFileSync('/proc/self/status', 'utf8'));
    require('node:child_process').spawnSync('prlimit', ['--pid', process.pid, '--as=' + 1024 * (+size + 500_000)]);
    try { heddle.tensor([1], [1], { device: 'cuda' }); } catch (error) { console.log(error.message); }`;
  const env = { ...process.env, HEDDLE_CUDA: 'simulator' };
  const args = ['--stack=1073741824', process.execPath, '--eval', script];
  const { stdout, stderr, status } = spawnSync('prlimit', args, { env, encoding: 'utf8' });
  expect({ stderr, status }).toEqual({ stderr: '', status: 0 });
  expect(stdout).toMatch(/^\[tensor\] cannot start a thread/);
});

simulated('a device that is lost while a large view is read', () => {
  // More than is on its way to the host at a time, and a copy is launched to make the view dense.
  const results = onSimulator(
    `const x = heddle.tensor(new Float32Array(3e6), [2, 15e5]);
    results.push(await told(x.transpose().data()), await told(heddle.sync().then(() => heddle.sync())));`,
    { HEDDLE_SIMULATOR_LOSE_AFTER: '0' },
  );
  expect(results).toEqual(['DEVICE_LOST', 'done']);
});

simulated('a failure is told once, on whichever device', () => {
  const results = onSimulator(`
    const table = heddle.tensor([1, 2], [2, 1]);
    const bad = () => heddle.embedding(table, heddle.tensor([9], [1], { dtype: 'int32' }));
    const [first, second] = [bad(), bad()];
    const far = [first.to('cpu'), second.to('cpu')];
    await new Promise((resolve) => setTimeout(resolve, 100));
    results.push(await told(first.data()), await told(far[1].data()), await told(heddle.sync()));
    bad().to('cpu');
    results.push(await told(heddle.sync()), await told(heddle.sync()));`);
  const told = 'INDEX_OUT_OF_RANGE';
  expect(results).toEqual([told, told, 'done', told, 'done']);
});

simulated('a device without memory says so, and goes on when there is some', () => {
  const results = onSimulator(
    `const large = heddle.tensor(new Float32Array(100_000));
    const [first, second] = [heddle.add(large, large), heddle.add(large, large)];
    results.push((await first.data()).length, await told(second.data()));
    first.dispose();
    results.push((await heddle.add(large, large).data())[0]);
    heddle.setMemoryLimit(heddle.memory().live + 100);
    try { heddle.add(large, large); } catch (error) { results.push(error.name); }
    results.push((await heddle.tensor(new Float32Array(1e6), [1e6], { device: 'cpu' }).data()).length);`,
    { HEDDLE_SIMULATOR_MEMORY: '1000000' },
  );
  expect(results).toEqual([100_000, 'OUT_OF_MEMORY', 0, 'QueueFullError', 1e6]);
});

simulated('auto takes the first GPU and says so; streams of many workers run at once', () => {
  const results = onSimulator(`
    const model = await heddle.loadModel('builtin:shakespeare');
    const { tokens } = await model.generate('To be', { maxNewTokens: 3, doSample: false });
    const cpu = await heddle.loadModel('builtin:shakespeare', { device: 'cpu' });
    const half = await heddle.loadModel('builtin:shakespeare', { device: 'cpu', dtype: 'bfloat16' });
    const same = await half.generate('To be', { maxNewTokens: 3, doSample: false });
    results.push(model.device, model.dtype, cpu.device, cpu.dtype, JSON.stringify(tokens) === JSON.stringify(same.tokens));
    const { Worker } = require('node:worker_threads');
    const source = \`const heddle = require(\${JSON.stringify(require.resolve('./dist/index.js'))});
      const x = heddle.tensor([1, 2]);
      heddle.add(x, x).data().then((y) => require('node:worker_threads').parentPort.postMessage(y[1]));\`;
    const workers = [0, 1, 2].map(() => new Worker(source, { eval: true, execArgv: [] }));
    const messages = workers.map((worker) => new Promise((resolve) => worker.once('message', resolve)));
    results.push(await Promise.all(messages));`);
  expect(results).toEqual(['cuda:0', 'bfloat16', 'cpu', 'float32', true, [4, 4, 4]]);
});
