/** Events as they are sent: made once, however many servers get them. */
import { knownEventAt } from '#projections/rooms/known-events.ts';
import { canonicalJson } from '#protocol/canonical-json.ts';
import { Lru } from '#src/sync/lru.ts';
import type { Position } from '#streams/event-log.ts';
import { type PduSource, pduOf } from '../pdus.ts';

/** Texts that are kept: 64 MiB if all were as large as events may be, one as a rule. */
const MAX_TEXTS = 1000;

interface Text {
  /** Redaction leaves less of it. */
  readonly redactedBy: number | undefined;
  readonly text: Promise<string | undefined>;
}

/** The canonical JSON of events. */
export class PduTexts {
  readonly #source: PduSource;
  readonly #texts = new Lru<Position, Text>(MAX_TEXTS);

  constructor(source: PduSource) {
    this.#source = source;
  }

  /** Forgets all texts. */
  clear(): void {
    this.#texts.clear();
  }

  /** Undefined for an event that was erased, or is not known. */
  async at(position: Position): Promise<string | undefined> {
    const known = knownEventAt(this.#source.reader, position);
    if (known === undefined) return undefined;
    const { redactedBy } = known.row;
    const kept = this.#texts.get(position);
    if (kept !== undefined && kept.redactedBy === redactedBy) return kept.text;
    // Events of old room versions may have any number in them.
    const text = pduOf(this.#source, known).then((pdu) => pdu && canonicalJson(pdu, 'loose'));
    this.#texts.set(position, { redactedBy, text });
    text.catch(() => this.#texts.delete(position));
    return text;
  }
}
