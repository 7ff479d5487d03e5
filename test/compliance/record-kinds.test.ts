/** No kind of record is forgotten when a person is erased. */
import { afterEach, beforeEach, expect, it } from 'vitest';
import { itemsOf } from '#src/compliance/items.ts';
import { SELECTIONS, type Selection } from '#src/compliance/record-kinds.ts';
import { streamOwners } from '#src/compliance/scan.ts';
import { type RecordKind, recordKinds } from '#streams/kinds.ts';
import { startApplication, type TestApplication, type TestClient } from '#test/support/application.ts';
import { makeRoom, say, upload } from './support.ts';

let app: TestApplication;
let subject: TestClient;

beforeEach(async () => {
  app = await startApplication();
  subject = await app.register('subject');
});
afterEach(() => app.close());

/** As many kinds of records as one person leaves with a few requests. */
async function leaveTraces(): Promise<void> {
  const { userId, deviceId } = subject;
  const roomId = await makeRoom(subject, { room_alias_name: 'lobby', visibility: 'public' });
  const room = `/rooms/${encodeURIComponent(roomId)}`;
  const eventId = await say(subject, roomId, 'A word');
  const event = encodeURIComponent(eventId);
  await subject.ok('POST', `${room}/receipt/m.read/${event}`, {});
  await subject.ok('POST', `${room}/report/${event}`, { reason: 'A reason' });
  await subject.ok('PUT', `/profile/${userId}/displayname`, { displayname: 'A name' });
  await subject.ok('PUT', `/user/${userId}/account_data/org.example`, { a: 1 });
  await subject.ok('POST', `/user/${userId}/filter`, {});
  await subject.ok('PUT', `/devices/${deviceId}`, { display_name: 'A phone' });
  await subject.ok('PUT', `/sendToDevice/org.example/1`, { messages: { [userId]: { '*': { a: 1 } } } });
  await subject.ok('POST', '/keys/upload', {});
  await subject.ok('POST', '/room_keys/version', { algorithm: 'm.megolm_backup.v1', auth_data: {} });
  await upload(app, subject, 'A file');
  await app.context.directory.setBlocked(roomId, true, userId);
}

it('each kind in the catalogue is listed, with a reason where nothing of it is selected', () => {
  expect(Object.keys(SELECTIONS).sort()).toEqual(Object.keys(recordKinds).sort());
  for (const [kind, selection] of Object.entries(SELECTIONS)) {
    if (selection.is === 'impersonal') expect(selection.why, kind).toMatch(/\.$/);
  }
});

it('what is listed of a kind is what is selected of its records, and who is named in the others is nobody', async () => {
  await leaveTraces();
  const ownerOf = streamOwners(app.engine.reader);
  const seen = new Map<string, Set<Selection['is']>>();
  for await (const records of app.log.readAll(-1)) {
    for (const record of records) {
      const { is } = SELECTIONS[record.kind as RecordKind];
      const items = itemsOf(record, ownerOf, subject.userId).filter(({ userIds }) => userIds.includes(subject.userId));
      const names = record.sections.some((section) => section && Buffer.from(section).includes(subject.userId));
      if (is === 'impersonal') {
        expect({ kind: record.kind, names, items }).toEqual({ kind: record.kind, names: false, items: [] });
      } else if (names && record.sections.some((section) => section && section.length > 0)) {
        const isNeeded = items.some(({ neededFor }) => neededFor !== undefined);
        // An event of which nothing was stripped has nothing that could go.
        const hasContent = record.kind !== 'pdu' || (record.sections[1]?.length ?? 0) > 0;
        if (hasContent) expect(items.length, record.kind).toBeGreaterThan(0);
        if (is === 'needed') expect(isNeeded, record.kind).toBe(true);
        if (is === 'selected' && hasContent && record.kind !== 'pdu') {
          expect(
            items.some(({ neededFor }) => neededFor === undefined),
            record.kind,
          ).toBe(true);
        }
      }
      if (names) seen.set(record.kind, (seen.get(record.kind) ?? new Set()).add(is));
    }
  }
  expect([...seen.keys()]).toEqual(
    expect.arrayContaining([
      'pdu',
      'alias.added',
      'report.made',
      'room.block_changed',
      'user.registered',
      'media.stored',
    ]),
  );
});

it('the alias and the block of somebody who is erased stay, and the certificate says so', async () => {
  await leaveTraces();
  const { erasures } = app.context.compliance;
  const wish = { userId: subject.userId, by: 'operator:x', reason: null, caseId: null, asksPeers: false };
  const { certificate } = await erasures.run(await erasures.request(wish));
  const { kept } = JSON.parse(certificate?.document ?? '{}') as { kept: { why: string }[] };
  expect(kept.map(({ why }) => why)).toContainEqual(expect.stringContaining('The alias leads to its room'));
});
