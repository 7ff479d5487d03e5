/** What tests that drive matrix-js-sdk share: clients, and waiting for what they learn. */
import {
  type AuthDict,
  ClientEvent,
  createClient,
  type EmittedEvents,
  type ICreateClientOpts,
  type IStartClientOpts,
  type MatrixClient,
  type MatrixEvent,
  MatrixEventEvent,
  RoomEvent,
  RoomStateEvent,
} from 'matrix-js-sdk';
import { type CryptoApi, CryptoEvent } from 'matrix-js-sdk/lib/crypto-api/index.js';
import { vi } from 'vitest';
import { PASSWORD, quiet } from './sdk.ts';

/** Parts of the SDK speak to the console whatever their logger is. `vi.restoreAllMocks()` gives it back. */
export function muteConsole(): void {
  for (const method of ['debug', 'info', 'log', 'warn', 'error'] as const) {
    vi.spyOn(console, method).mockReturnValue(undefined);
  }
}

/** What registering or logging in gives. */
export interface Account {
  readonly user_id: string;
  readonly access_token?: string;
  readonly device_id?: string;
}

/** Makes an account on the server at a URL. */
export function registerAccount(url: string, username: string): Promise<Account> {
  const auth = { type: 'm.login.dummy' };
  return createClient({ baseUrl: url, logger: quiet }).registerRequest({ username, password: PASSWORD, auth });
}

/** Logs in as a user who was made by {@link registerAccount}: a new device. */
export function logIn(url: string, username: string): Promise<Account> {
  return createClient({ baseUrl: url, logger: quiet }).loginRequest({
    type: 'm.login.password',
    identifier: { type: 'm.id.user', user: username },
    password: PASSWORD,
  });
}

/** A client of an account, not yet started. */
export function clientOf(url: string, account: Account, options: Partial<ICreateClientOpts> = {}): MatrixClient {
  const { access_token: accessToken, user_id: userId, device_id: deviceId } = account;
  if (accessToken === undefined || deviceId === undefined) throw new Error('no device was logged in');
  return createClient({ baseUrl: url, logger: quiet, accessToken, userId, deviceId, ...options });
}

/** Starts a client, with its cryptography in memory if it is to have one, and resolves after its first sync. Stop it when done. */
export async function startSyncing(
  client: MatrixClient,
  options: IStartClientOpts & { readonly withCrypto?: boolean } = {},
): Promise<void> {
  const { withCrypto = false, ...rest } = options;
  if (withCrypto) await client.initRustCrypto({ useIndexedDB: false });
  await client.startClient({ initialSyncLimit: 20, ...rest });
  await onceTrue(client, () => client.isInitialSyncComplete());
}

/** The cryptography of a client that has one. */
export function cryptoOf(client: MatrixClient): CryptoApi {
  const crypto = client.getCrypto();
  if (crypto === undefined) throw new Error('the client has no cryptography');
  return crypto;
}

/** Answers the server that wants to know again who somebody is. */
export function withPassword(user: string) {
  return async (makeRequest: (auth: AuthDict | null) => Promise<unknown>): Promise<void> => {
    await makeRequest({ type: 'm.login.password', identifier: { type: 'm.id.user', user }, password: PASSWORD });
  };
}

/** The text of a message, as it is after edits and decryption. */
export function bodyOf(event: MatrixEvent): string | undefined {
  const { body }: { body?: unknown } = event.getContent();
  return typeof body === 'string' ? body : undefined;
}

/** A message with this text that a client has from the server, decrypted if it had to be. */
export function messageIn(client: MatrixClient, roomId: string, body: string): Promise<MatrixEvent> {
  return onceThere(client, () => {
    const events = client.getRoom(roomId)?.getLiveTimeline().getEvents();
    return events?.find((event) => event.status === null && bodyOf(event) === body);
  });
}

/** What a client says when it knows more than before. */
const NEWS: EmittedEvents[] = [
  ClientEvent.Sync,
  MatrixEventEvent.Decrypted,
  MatrixEventEvent.Replaced,
  RoomEvent.Timeline,
  RoomEvent.Receipt,
  RoomStateEvent.Members,
  CryptoEvent.DevicesUpdated,
  CryptoEvent.KeysChanged,
  CryptoEvent.KeyBackupSessionsRemaining,
  CryptoEvent.KeyBackupStatus,
  CryptoEvent.UserTrustStatusChanged,
  CryptoEvent.VerificationRequestReceived,
];

/** Resolves when something is so of what the client knows. */
export async function onceTrue(client: MatrixClient, isSo: () => boolean): Promise<void> {
  await onceThere(client, () => (isSo() ? true : undefined));
}

/** Resolves with what `look` finds, now or when the client has learned something. */
export function onceThere<T>(client: MatrixClient, look: () => T | undefined): Promise<T> {
  return new Promise((resolve) => {
    const check = (): void => {
      const found = look();
      if (found === undefined) return;
      for (const news of NEWS) client.off(news, check);
      resolve(found);
    };
    for (const news of NEWS) client.on(news, check);
    check();
  });
}

/** The same for what has to be asked for: asks again whenever the client has learned something. */
export async function onceAsync(client: MatrixClient, isSo: () => Promise<boolean>): Promise<void> {
  for (;;) {
    let hasNews = false;
    const note = (): void => {
      hasNews = true;
    };
    for (const news of NEWS) client.on(news, note);
    try {
      if (await isSo()) return;
      if (!hasNews) await nextNews(client);
    } finally {
      for (const news of NEWS) client.off(news, note);
    }
  }
}

function nextNews(client: MatrixClient): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      for (const news of NEWS) client.off(news, done);
      resolve();
    };
    for (const news of NEWS) client.on(news, done);
  });
}
