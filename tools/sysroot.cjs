'use strict';
// The C and C++ libraries of Debian 11 for one processor, in build/sysroot/<arch>: what prebuilt binaries are compiled
// and linked against, so that they ask no more of a host than it. Packages come through apt, checked by its signatures,
// into a state of its own: nothing is installed, and no root is needed.
//
// Usage: node tools/sysroot.cjs [x64] [arm64]

const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');

const root = path.resolve(__dirname, '..');
const SUITE = 'bullseye';
const ARCHITECTURES = { x64: 'amd64', arm64: 'arm64' };
const TRIPLETS = { x64: 'x86_64-linux-gnu', arm64: 'aarch64-linux-gnu' };
// libstdc++ and libgcc too: those of a newer compiler were themselves compiled against its glibc.
const PACKAGES = [
  'libc6',
  'libc6-dev',
  'linux-libc-dev',
  'libgcc-10-dev',
  'libstdc++-10-dev',
  'libgcc-s1',
  'libstdc++6',
];

function run(command, args, options = {}) {
  const { status, error, stdout, stderr } = spawnSync(command, args, { encoding: 'utf8', ...options });
  if (error) throw error;
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}\n${stdout}${stderr}`);
  return stdout;
}

/** Where this machine gets Debian from. */
function mirror() {
  if (process.env.HEDDLE_DEBIAN_MIRROR) return process.env.HEDDLE_DEBIAN_MIRROR;
  const format = ['--format', '$(ORIGIN) $(REPO_URI)', 'Created-By: Packages'];
  const line = run('apt-get', ['indextargets', ...format])
    .split('\n')
    .find((text) => /^Debian .*\/debian\/?$/.test(text));
  if (!line) throw new Error('apt has no Debian mirror here: name one in HEDDLE_DEBIAN_MIRROR');
  return line.slice('Debian '.length);
}

/** Links that name files of the root folder are made to name those of the sysroot. */
function relink(sysroot, folder) {
  for (const entry of fs.readdirSync(folder, { withFileTypes: true })) {
    const file = path.join(folder, entry.name);
    if (entry.isDirectory()) relink(sysroot, file);
    if (!entry.isSymbolicLink()) continue;
    const target = fs.readlinkSync(file);
    if (!path.isAbsolute(target)) continue;
    fs.unlinkSync(file);
    fs.symlinkSync(path.relative(folder, path.join(sysroot, target)), file);
  }
}

/** The folder of the sysroot, made if it is not there. */
function sysroot(arch) {
  const done = path.join(root, 'build', 'sysroot', arch);
  if (fs.existsSync(done)) return done;
  const scratch = `${done}.part`;
  fs.rmSync(scratch, { recursive: true, force: true });
  for (const folder of ['apt/lists/partial', 'apt/cache/archives/partial', 'root']) {
    fs.mkdirSync(path.join(scratch, folder), { recursive: true });
  }

  const debian = ARCHITECTURES[arch];
  const apt = path.join(scratch, 'apt');
  const options = {
    'Dir::State::lists': path.join(apt, 'lists'),
    'Dir::State::status': path.join(apt, 'status'),
    'Dir::Cache': path.join(apt, 'cache'),
    'Dir::Etc::sourcelist': path.join(apt, 'sources.list'),
    'Dir::Etc::sourceparts': '-',
    'APT::Architecture': debian,
    'APT::Architectures': debian,
    'APT::Sandbox::User': '', // the cache is ours, not that of apt's own user
  };
  const flags = Object.entries(options).flatMap(([name, value]) => ['-o', `${name}=${value}`]);
  const keyring = '/usr/share/keyrings/debian-archive-keyring.gpg';
  fs.writeFileSync(path.join(apt, 'status'), '');
  fs.writeFileSync(
    path.join(apt, 'sources.list'),
    `deb [arch=${debian} signed-by=${keyring}] ${mirror()} ${SUITE} main\n`,
  );
  run('apt-get', ['-qq', ...flags, 'update']);
  run('apt-get', ['-qq', ...flags, 'download', ...PACKAGES], { cwd: apt });
  const target = path.join(scratch, 'root');
  for (const file of fs.readdirSync(apt).filter((name) => name.endsWith('.deb'))) {
    run('dpkg-deb', ['-x', path.join(apt, file), target]);
  }
  relink(target, target);
  // Intrinsics belong to the compiler that is used, not to the one that these libraries came with.
  const compiler = path.join(target, 'usr/lib/gcc', TRIPLETS[arch], '10');
  for (const folder of ['include', 'include-fixed']) {
    fs.rmSync(path.join(compiler, folder), { recursive: true, force: true });
  }
  fs.renameSync(target, done);
  fs.rmSync(scratch, { recursive: true });
  return done;
}

module.exports = { sysroot, TRIPLETS };

if (require.main === module) {
  const wanted = process.argv.slice(2);
  for (const arch of wanted.length > 0 ? wanted : Object.keys(ARCHITECTURES)) console.log(sysroot(arch));
}
