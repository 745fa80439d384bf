import { StopMatcher } from '#lib/generation/stop';

/** The text that comes through, in pieces of `size` characters. */
function run(text: string, stops: string[], size: number): { text: string; stopped: boolean } {
  const matcher = new StopMatcher(stops);
  let out = '';
  for (let at = 0; at < text.length; at += size) out += matcher.push(text.slice(at, at + size));
  return { text: matcher.stopped ? out : out + matcher.flush(), stopped: matcher.stopped };
}

test.each([
  ['hello world', ['wor'], 'hello ', true],
  ['hello world', ['x'], 'hello world', false],
  ['aaab', ['aab'], 'a', true],
  ['abcabd', ['abd', 'bca'], 'a', true],
  ['one two', ['two three'], 'one two', false],
  ['ends with stop', ['stop'], 'ends with ', true],
  ['nothing', [], 'nothing', false],
])('%j with %j', (text, stops, expected, stopped) => {
  for (const size of [1, 2, 3, 100]) expect(run(text, stops, size)).toEqual({ text: expected, stopped });
});
