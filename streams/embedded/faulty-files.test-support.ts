/** A file system that fails where a test wants it to. */
import { diskFiles, type FileSystem, type OpenFile, type OpenMode } from './files.ts';

export type FaultyOperation = 'open' | 'write' | 'datasync' | 'truncate' | 'rename' | 'syncFolder';

export interface Fault {
  readonly on: FaultyOperation;
  /** The system's error code. */
  readonly code: string;
  /** Which files; default all. */
  readonly path?: RegExp;
  /** How often; default once. */
  times?: number;
  /** How often it does not happen before it happens; default 0. */
  skip?: number;
  /** Of a write: bytes that are written before it fails; default none. */
  readonly afterBytes?: number;
}

export class FaultyFiles implements FileSystem {
  readonly faults: Fault[] = [];
  /** Calls so far, such as `datasync /tmp/…/0000000000000000.seg`. */
  readonly calls: string[] = [];
  #hanging: { on: FaultyOperation; path: RegExp; gate: Promise<void> } | undefined;

  fail(fault: Fault): void {
    this.faults.push(fault);
  }

  /** Lets the next such call wait until the function that comes back is called. */
  hang(on: FaultyOperation, path: RegExp): () => void {
    let release = () => {};
    const gate = new Promise<void>((resolve) => {
      release = resolve;
    });
    this.#hanging = { on, path, gate };
    return release;
  }

  async waitIfHanging(on: FaultyOperation, path: string): Promise<void> {
    const hanging = this.#hanging;
    if (hanging?.on !== on || !hanging.path.test(path)) return;
    this.#hanging = undefined;
    await hanging.gate;
  }

  async open(path: string, mode: OpenMode): Promise<OpenFile> {
    if (mode !== 'read') this.check('open', path);
    const file = await diskFiles.open(path, mode);
    return new FaultyFile(this, file);
  }

  list(folder: string): Promise<string[]> {
    return diskFiles.list(folder);
  }

  makeFolder(folder: string): Promise<void> {
    return diskFiles.makeFolder(folder);
  }

  async rename(from: string, to: string): Promise<void> {
    this.check('rename', to);
    await diskFiles.rename(from, to);
  }

  remove(path: string): Promise<void> {
    return diskFiles.remove(path);
  }

  async syncFolder(folder: string): Promise<void> {
    this.check('syncFolder', folder);
    await diskFiles.syncFolder(folder);
  }

  /** The fault that hits now, if any; counts it. */
  hit(on: FaultyOperation, path: string): Fault | undefined {
    this.calls.push(`${on} ${path}`);
    const fault = this.faults.find((one) => one.on === on && (one.path?.test(path) ?? true) && (one.times ?? 1) > 0);
    if (fault === undefined) return undefined;
    if (fault.skip) {
      fault.skip -= 1;
      return undefined;
    }
    fault.times = (fault.times ?? 1) - 1;
    return fault;
  }

  check(on: FaultyOperation, path: string): void {
    const fault = this.hit(on, path);
    if (fault) throw systemError(fault, path);
  }
}

class FaultyFile implements OpenFile {
  readonly path: string;
  readonly #files: FaultyFiles;
  readonly #file: OpenFile;

  constructor(files: FaultyFiles, file: OpenFile) {
    this.path = file.path;
    this.#files = files;
    this.#file = file;
  }

  read(into: Buffer, position: number): Promise<number> {
    return this.#file.read(into, position);
  }

  writeAtOnce(bytes: Buffer, position: number): Promise<void> {
    return this.write(bytes, position);
  }

  async write(bytes: Buffer, position: number): Promise<void> {
    await this.#files.waitIfHanging('write', this.path);
    const fault = this.#files.hit('write', this.path);
    if (fault === undefined) return this.#file.write(bytes, position);
    if (fault.afterBytes) await this.#file.write(bytes.subarray(0, fault.afterBytes), position);
    throw systemError(fault, this.path);
  }

  async datasync(): Promise<void> {
    await this.#files.waitIfHanging('datasync', this.path);
    this.#files.check('datasync', this.path);
    await this.#file.datasync();
  }

  async truncate(length: number): Promise<void> {
    this.#files.check('truncate', this.path);
    await this.#file.truncate(length);
  }

  size(): Promise<number> {
    return this.#file.size();
  }

  close(): Promise<void> {
    return this.#file.close();
  }
}

function systemError(fault: Fault, path: string): Error {
  return Object.assign(new Error(`${fault.code}: ${fault.on} '${path}'`), { code: fault.code });
}
