#!/usr/bin/env node
import { readFileSync } from 'node:fs';
import * as path from 'node:path';
import { Command, CommanderError } from 'commander';
import { addBuild } from './build';

/** Exit codes: 0 done, 1 failed, 2 a wrong command line, 130 interrupted. */
const [FAILED, MISUSED, INTERRUPTED] = [1, 2, 130];

async function commandLine(): Promise<Command> {
  const { version } = JSON.parse(readFileSync(path.resolve(__dirname, '../../package.json'), 'utf8')) as {
    version: string;
  };
  const program = new Command('heddle')
    .description('Transformers on native kernels, from Hugging Face folders')
    .version(version)
    .exitOverride()
    .addHelpText(
      'after',
      '\nExamples:\n  $ heddle generate builtin:shakespeare "To be, or"\n  $ heddle info ./gpt2 --memory 8G',
    );
  addBuild(program);
  // The others load the addon, which `heddle build` is there to make.
  if (process.argv[2] !== 'build') {
    const [{ addGeneration }, { addReports }] = await Promise.all([import('./generate.js'), import('./report.js')]);
    addGeneration(program);
    addReports(program);
  }
  for (const command of program.commands) command.exitOverride();
  return program;
}

// A reader that has seen enough, as `head` does.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit();
});

commandLine()
  .then((program) => program.parseAsync())
  .catch((error: unknown) => {
    if (error instanceof CommanderError) {
      process.exitCode = error.exitCode === 0 ? 0 : MISUSED; // it has told
    } else if ((error as Error | null)?.name === 'AbortError') {
      process.exitCode = INTERRUPTED;
    } else {
      process.stderr.write(`heddle: ${error instanceof Error ? error.message : String(error)}\n`);
      process.exitCode = FAILED;
    }
  });
