'use strict';
// An empty project with a home, a temporary folder and a PATH of its own, on which there is node and nothing else.

const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');

const windows = process.platform === 'win32';

function spawn(command, args, options) {
  const { status, signal, error, stdout, stderr } = spawnSync(command, args, { encoding: 'utf8', ...options });
  if (error) throw error;
  return { status, stdout, output: `${stdout}${stderr}${signal ? `ended by ${signal}\n` : ''}` };
}

/** npm is a script next to the node that it came with, or what runs this. */
function npmCli() {
  if (process.env.npm_execpath) return process.env.npm_execpath;
  const { stdout } = spawn('npm', ['root', '--global'], { shell: windows });
  return path.join(stdout.trim(), 'npm', 'bin', 'npm-cli.js');
}

/** The package of npm's `node` that holds the binary. */
function nodePackage() {
  const platform = windows ? 'win' : process.platform;
  return `${platform === 'darwin' && process.arch === 'arm64' ? 'node-bin' : 'node'}-${platform}-${process.arch}`;
}

class Sandbox {
  constructor(folder) {
    this.folder = folder;
    this.project = path.join(folder, 'project');
    this.installed = path.join(this.project, 'node_modules', 'heddle');
    this.outside = { HOME: path.join(folder, 'home'), TMPDIR: path.join(folder, 'tmp') };
    const bin = path.join(folder, 'bin');
    for (const made of [this.project, bin, ...Object.values(this.outside)]) fs.mkdirSync(made);
    if (windows) fs.copyFileSync(process.execPath, path.join(bin, 'node.exe'));
    else fs.symlinkSync(process.execPath, path.join(bin, 'node'));
    const { HOME, TMPDIR } = this.outside;
    this.env = { PATH: bin, HOME, USERPROFILE: HOME, TMPDIR, TEMP: TMPDIR, TMP: TMPDIR };
    if (windows) this.env.SystemRoot = process.env.SystemRoot;
  }

  /** Standard output; throws with all output unless the program succeeds. */
  run(command, args, options = {}) {
    const { status, stdout, output } = spawn(command, args, { cwd: this.project, env: this.env, ...options });
    if (status !== 0) throw new Error(`${path.basename(command)} ${args.join(' ')}\n${output}`);
    return stdout;
  }

  /** All output of a program that must fail. */
  fails(command, args) {
    const { status, output } = spawn(command, args, { cwd: this.project, env: this.env });
    if (status === 0) throw new Error(`${args.join(' ')} did not fail`);
    return output;
  }

  /** npm with the user's own settings, but this PATH. */
  npm(args, options = {}) {
    const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^path$/i.test(name)));
    return this.run(process.execPath, [npmCli(), ...args], { env: { ...env, PATH: this.env.PATH }, ...options });
  }

  install(packages) {
    const project = { name: 'uses-heddle', version: '1.0.0', private: true };
    fs.writeFileSync(path.join(this.project, 'package.json'), JSON.stringify(project));
    this.npm(['install', '--ignore-scripts', '--no-audit', '--no-fund', ...packages]);
  }

  /** The newest Node of each major version, installed once. */
  nodes(folder, majors) {
    fs.mkdirSync(folder, { recursive: true });
    const file = path.join(folder, 'package.json');
    if (!fs.existsSync(file)) fs.writeFileSync(file, '{ "private": true }');
    const wanted = majors.map((major) => `node${major}@npm:${nodePackage()}@${major}`);
    this.npm(['install', '--ignore-scripts', '--no-audit', '--no-fund', ...wanted], { cwd: folder });
    return majors.map((major) =>
      path.join(folder, 'node_modules', `node${major}`, 'bin', windows ? 'node.exe' : 'node'),
    );
  }

  /** Every file that the programs could have made or changed: 'path size time'. */
  listing() {
    const files = new Set();
    for (const folder of [this.project, ...Object.values(this.outside)]) {
      for (const entry of fs.readdirSync(folder, { recursive: true })) {
        const { size, mtimeMs } = fs.lstatSync(path.join(folder, entry));
        files.add(`${path.join(folder, entry)} ${size} ${mtimeMs}`);
      }
    }
    return files;
  }
}

module.exports = { Sandbox };
