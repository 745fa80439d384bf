import { runModule } from '../support/child';

// The short form of `npm run test:stress workers`. On a device that a simulator plays it takes most of a minute.
const timeoutMs = 180_000;

test(
  'workers load, generate, fail and are terminated at random',
  () => {
    const { status, stdout, stderr } = runModule('workers-stress', {
      args: ['8', '6'],
      flags: ['--expose-gc'],
      timeoutMs,
    });
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(JSON.parse(stdout)).toMatchObject({ lives: 48, problems: [] });
  },
  timeoutMs,
);
