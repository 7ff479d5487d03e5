/** Who runs the command line, as far as the system can tell. */
import { readFileSync } from 'node:fs';
import { userInfo } from 'node:os';

/** What the kernel gives where nobody logged in: a service, a container. */
const NOBODY_LOGGED_IN = 2 ** 32 - 1;

/** What {@link operatorName} asks; each undefined where the system does not say. */
export interface OperatorSigns {
  /** The user as whom the command runs. */
  readonly username: string;
  /** `/proc/self/loginuid`: as whom they logged in. The kernel keeps it through `sudo` and `su`, and only root can set it. */
  readonly loginUid: string | undefined;
  /** `/etc/passwd`. */
  readonly passwd: string | undefined;
  /** `SUDO_USER`: what `sudo` says; whoever is root already can say anything there. */
  readonly sudoUser: string | undefined;
}

/**
 * The user of the operating system, after who they logged in as where that is somebody else: `ann as root`. What the kernel says counts
 * for more than what the environment says.
 */
export function operatorName(signs: OperatorSigns = ownSigns()): string {
  const { username, sudoUser } = signs;
  const before = loginName(signs) ?? (sudoUser || undefined);
  return before === undefined || before === username ? username : `${before} as ${username}`;
}

function loginName({ loginUid, passwd = '' }: OperatorSigns): string | undefined {
  const uid = loginUid === undefined ? '' : loginUid.trim();
  if (!/^\d+$/.test(uid) || Number(uid) === NOBODY_LOGGED_IN) return undefined;
  for (const line of passwd.split('\n')) {
    const [name, , id] = line.split(':');
    if (id === uid && name) return name;
  }
  return `uid ${uid}`;
}

function ownSigns(): OperatorSigns {
  return {
    username: userInfo().username,
    loginUid: textOf('/proc/self/loginuid'),
    passwd: textOf('/etc/passwd'),
    sudoUser: process.env['SUDO_USER'],
  };
}

function textOf(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}
