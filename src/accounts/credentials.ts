/**
 * What user names, passwords and device ids may look like.
 * https://spec.matrix.org/v1.19/appendices/#user-identifiers
 */
import { isNewUserLocalpart } from '#protocol/identifiers.ts';
import { invalidParam, MatrixError } from '#src/http/errors.ts';

/** Most bytes of a user id, sigil and server name included. */
const MAX_USER_ID_BYTES = 255;
/** Bridges name their users `_telegram_…`; a person with such a name would stand in the way of the bridge. */
const RESERVED_PREFIX = '_';

/** Shortest password, in characters (NIST SP 800-63B). */
export const MIN_PASSWORD_LENGTH = 8;
/** Longest password, in UTF-8 bytes: far above any phrase, and little to hash. */
export const MAX_PASSWORD_BYTES = 512;

export const MAX_DEVICE_ID_BYTES = 255;
export const MAX_DEVICE_NAME_LENGTH = 100;

/**
 * The user id for a wished-for user name. Capital letters are lowered, as the grammar asks; everything else that it does not
 * allow is refused, since a silent replacement would surprise people.
 * @throws {MatrixError} `M_INVALID_USERNAME` with what is wrong.
 */
export function userIdForUsername(username: string, serverName: string): string {
  const localpart = lowerAscii(username);
  if (localpart === '') throw invalidUsername('The user name is empty.');
  if (!isNewUserLocalpart(localpart)) {
    throw invalidUsername('User names may contain only the letters a–z, digits, and the characters . _ = - / +');
  }
  if (localpart.startsWith(RESERVED_PREFIX)) {
    throw invalidUsername('User names that begin with _ are reserved for bridges and bots.');
  }
  const userId = `@${localpart}:${serverName}`;
  if (Buffer.byteLength(userId) > MAX_USER_ID_BYTES) {
    throw invalidUsername(`The user name is too long: with the server's name it may have ${MAX_USER_ID_BYTES} bytes.`);
  }
  return userId;
}

/**
 * The user id that somebody logs in as: given whole, or only its localpart. Undefined if it cannot be one of this server's.
 */
export function userIdForLogin(user: string, serverName: string): string | undefined {
  let localpart = user;
  if (user.startsWith('@')) {
    const colon = user.indexOf(':');
    if (colon === -1 || user.slice(colon + 1) !== serverName) return undefined;
    localpart = user.slice(1, colon);
  }
  const userId = `@${lowerAscii(localpart)}:${serverName}`;
  return Buffer.byteLength(userId) > MAX_USER_ID_BYTES ? undefined : userId;
}

/** @throws {MatrixError} `M_WEAK_PASSWORD` if it is too short, `M_INVALID_PARAM` if too long. */
export function checkPassword(password: string): void {
  // By code points: a person counts characters.
  if ([...password.slice(0, 2 * MIN_PASSWORD_LENGTH)].length < MIN_PASSWORD_LENGTH) {
    throw new MatrixError('M_WEAK_PASSWORD', `A password needs at least ${MIN_PASSWORD_LENGTH} characters.`);
  }
  if (isPasswordTooLong(password)) throw invalidParam(`A password has at most ${MAX_PASSWORD_BYTES} bytes.`);
}

/** Whether a password cannot be anybody's. */
export function isPasswordTooLong(password: string): boolean {
  return Buffer.byteLength(password) > MAX_PASSWORD_BYTES;
}

/** @throws {MatrixError} `M_INVALID_PARAM` for a device id that is empty, too long, or holds control characters. */
export function checkDeviceId(deviceId: string): void {
  if (deviceId === '' || Buffer.byteLength(deviceId) > MAX_DEVICE_ID_BYTES || holdsControl(deviceId)) {
    throw invalidParam(`A device_id has 1 to ${MAX_DEVICE_ID_BYTES} bytes, without control characters.`);
  }
}

/** @throws {MatrixError} `M_INVALID_PARAM` if the name is too long. */
export function checkDeviceName(name: string): void {
  if (name.length > MAX_DEVICE_NAME_LENGTH) {
    throw invalidParam(`The display name of a device has at most ${MAX_DEVICE_NAME_LENGTH} characters.`);
  }
}

function holdsControl(text: string): boolean {
  for (let index = 0; index < text.length; index += 1) {
    const code = text.charCodeAt(index);
    if (code < 0x20 || code === 0x7f) return true;
  }
  return false;
}

/** Lowers A–Z only: other alphabets have no business in a user name, and must not be folded into it. */
function lowerAscii(text: string): string {
  return text.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
}

function invalidUsername(message: string): MatrixError {
  return new MatrixError('M_INVALID_USERNAME', message);
}
