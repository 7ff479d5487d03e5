import type { Readable } from 'node:stream';

export interface RawAnswerOptions {
  /** Default 200. */
  readonly status?: number;
  /** Names in lower case. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Text is sent as UTF-8. A stream is destroyed when the client goes away. */
  readonly body: string | Uint8Array | Readable;
}

/** An answer that is not simply an object with status 200: other statuses, media, text that is JSON already. */
export class RawAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | Uint8Array | Readable;

  constructor(options: RawAnswerOptions) {
    this.status = options.status ?? 200;
    this.headers = options.headers ?? {};
    this.body = options.body;
  }
}

const JSON_HEADERS = { 'content-type': 'application/json' } as const;

/** An object as JSON with another status, such as the 401 of user-interactive authentication. */
export function jsonAnswer(status: number, body: object): RawAnswer {
  return new RawAnswer({ status, headers: JSON_HEADERS, body: JSON.stringify(body) });
}

/** An answer whose JSON text exists already. */
export function jsonTextAnswer(text: string | Uint8Array): RawAnswer {
  return new RawAnswer({ headers: JSON_HEADERS, body: text });
}
