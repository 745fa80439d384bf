import { promises as files } from 'node:fs';
import { show } from './check';

/**
 * A JSON file that holds an object; undefined where there is no such file.
 *
 * @throws RangeError, naming the function and the file, for what is not JSON or no object; the system's error where it
 *   cannot be read.
 */
export async function readJson(name: string, file: string): Promise<Readonly<Record<string, unknown>> | undefined> {
  let text: string;
  try {
    text = await files.readFile(file, 'utf8');
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) return undefined;
    throw error;
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new RangeError(`[${name}] ${file} is not valid JSON: ${(cause as Error).message}`, { cause });
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new RangeError(`[${name}] ${file} must hold an object but holds ${show(value)}`);
  }
  return value as Record<string, unknown>;
}
