import { execFile, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { copyFile, mkdir, mkdtemp, realpath, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { resolveEnvoy } from '../../harness/envoy/binary.ts';

const run = promisify(execFile);

/** Names of images that stand in for the official ones where no registry can be reached. */
export interface LocalImages {
  envoy: string;
  node: string;
}

/**
 * Makes both images out of what this machine has: the binary, the shared libraries that `ldd` names, and the few files
 * that a C library wants. Nothing is fetched from an image registry. An image whose binary did not change is kept.
 */
export async function buildLocalImages(progress: (line: string) => void = () => {}): Promise<LocalImages> {
  const envoy = await resolveEnvoy({ progress });
  return {
    envoy: await imageOf('causeway-envoy', envoy.path, '/usr/local/bin/envoy', progress),
    node: await imageOf('causeway-node', process.execPath, '/usr/local/bin/node', progress),
  };
}

/** The same of this machine's Prometheus. */
export function prometheusImage(binary: string, progress: (line: string) => void = () => {}): Promise<string> {
  return imageOf('causeway-prometheus', binary, '/bin/prometheus', progress);
}

async function imageOf(name: string, binary: string, target: string, progress: (line: string) => void) {
  const source = await realpath(binary);
  const { size, mtimeMs } = await stat(source);
  const key = createHash('sha256').update(`${source} ${size} ${mtimeMs}`).digest('hex').slice(0, 12);
  const tag = `${name}:local-${key}`;
  if (
    await run('docker', ['image', 'inspect', tag]).then(
      () => true,
      () => false,
    )
  )
    return tag;

  progress(`making image ${tag} from ${source}`);
  const root = await mkdtemp(join(tmpdir(), `${name}-`));
  try {
    await place(root, source, target);
    for (const library of await sharedLibraries(source)) await place(root, library, library);
    await mkdir(join(root, 'etc'), { recursive: true });
    await mkdir(join(root, 'tmp'), { recursive: true, mode: 0o1777 });
    await writeFile(
      join(root, 'etc/passwd'),
      'root:x:0:0:root:/:/bin/false\nnobody:x:65534:65534:nobody:/:/bin/false\n',
    );
    await writeFile(join(root, 'etc/nsswitch.conf'), 'hosts: files dns\n');
    await importImage(root, tag);
    return tag;
  } finally {
    await rm(root, { recursive: true, force: true });
  }
}

async function place(root: string, source: string, target: string): Promise<void> {
  const to = join(root, target);
  await mkdir(dirname(to), { recursive: true });
  await copyFile(await realpath(source), to);
}

/** Absolute paths of what the dynamic loader would load, itself included. Name service libraries are loaded by name later. */
async function sharedLibraries(binary: string): Promise<string[]> {
  const { stdout } = await run('ldd', [binary]);
  const libraries = new Set<string>();
  for (const line of stdout.split('\n')) {
    const path = /(?:=>\s+)?(\/\S+)\s+\(0x/.exec(line)?.[1];
    if (path) libraries.add(path);
  }
  const libc = [...libraries].find((path) => path.endsWith('/libc.so.6'));
  if (libc)
    for (const name of ['libnss_files.so.2', 'libnss_dns.so.2', 'libresolv.so.2'])
      libraries.add(join(dirname(libc), name));
  return [...libraries];
}

async function importImage(root: string, tag: string): Promise<void> {
  const tar = spawn('tar', ['-C', root, '--owner=0', '--group=0', '-c', '.'], { stdio: ['ignore', 'pipe', 'inherit'] });
  const path = 'ENV PATH=/usr/local/bin:/usr/bin:/bin';
  const load = spawn('docker', ['import', '--change', path, '-', tag], { stdio: ['pipe', 'ignore', 'inherit'] });
  tar.stdout.pipe(load.stdin);
  const ended = (child: { once(event: 'exit', done: (code: number | null) => void): unknown }) =>
    new Promise<number | null>((resolve) => child.once('exit', resolve));
  const [packed, loaded] = await Promise.all([ended(tar), ended(load)]);
  if (packed !== 0 || loaded !== 0) throw new Error(`docker import of ${tag} failed (tar ${packed}, docker ${loaded})`);
}

if (process.argv[1] === new URL(import.meta.url).pathname) {
  const images = await buildLocalImages((line) => console.error(line));
  // For a shell: eval "$(tsx tools/images/build.ts)"
  console.log(`export ENVOY_IMAGE=${images.envoy}\nexport NODE_IMAGE=${images.node}`);
}
