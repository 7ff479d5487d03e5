/** Erasing a person: nothing of them is left in any file, others keep theirs, and the log stays what it was. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { checkCertificate } from '#src/compliance/certificate.ts';
import { newSignerText, openNote, parseSigner } from '#streams/transparency/note.ts';
import { startApplication, type TestApplication, type TestClient } from '#test/support/application.ts';
import { differences, filesWith, makeRoom, say, upload } from './support.ts';

const SECRET = 'Blaubeerkuchenrezept';
const signer = parseSigner(newSignerText('example.org/log'));
let app: TestApplication;
let subject: TestClient;
let other: TestClient;
let roomId: string;

beforeEach(async () => {
  app = await startApplication(
    {},
    { proof: { checkpoint: async () => 'a checkpoint', sign: (text) => signer.sign(text) } },
  );
  [subject, other] = [await app.register('subject'), await app.register('other')];
  roomId = await makeRoom(other, { name: 'The room of the other' });
  await subject.ok('POST', `/join/${encodeURIComponent(roomId)}`, {});
});
afterEach(() => app.close());

const by = { by: 'operator:test', reason: 'A request by letter', caseId: 'DP-1', asksPeers: true };

async function erase(userId: string) {
  const { erasures } = app.context.compliance;
  return erasures.run(await erasures.request({ userId, ...by }));
}

/** Everything that a user can leave behind. */
async function live(client: TestClient): Promise<{ eventId: string; mediaId: string }> {
  await client.ok('PUT', `/profile/${client.userId}/displayname`, { displayname: `${SECRET} the name` });
  await client.ok('PUT', `/user/${client.userId}/account_data/org.example`, { note: `${SECRET} in account data` });
  const eventId = await say(client, roomId, `${SECRET} in a message`);
  await client.ok('PUT', `/rooms/${encodeURIComponent(roomId)}/send/m.room.message/edit`, {
    msgtype: 'm.text',
    body: `* ${SECRET} in an edit`,
    'm.new_content': { msgtype: 'm.text', body: `${SECRET} in an edit` },
    'm.relates_to': { rel_type: 'm.replace', event_id: eventId },
  });
  await client
    .ok('PUT', `/rooms/${encodeURIComponent(roomId)}/state/org.example.poll/x`, { q: SECRET })
    .catch(() => undefined);
  await client.ok('POST', '/pushers/set', {
    app_id: SECRET,
    pushkey: `${SECRET} key`,
    kind: 'http',
    app_display_name: SECRET,
    device_display_name: SECRET,
    lang: 'en',
    data: { url: 'https://push.example.org/_matrix/push/v1/notify' },
  });
  await client.ok('PUT', `/devices/${client.deviceId}`, { display_name: `${SECRET} phone` });
  await client.ok('POST', `/rooms/${encodeURIComponent(roomId)}/report/${encodeURIComponent(eventId)}`, {
    reason: `${SECRET} in a report`,
  });
  const mediaId = await upload(app, client, `${SECRET} in a file`);
  return { eventId, mediaId };
}

describe('erasing a user', () => {
  it('leaves nothing of what they wrote in any file of the data folder', async () => {
    const { eventId, mediaId } = await live(subject);
    const kept = await say(other, roomId, 'Rhabarber of the other');
    await app.engine.copySafely();
    expect(await filesWith(app, SECRET)).not.toEqual([]);

    const { erasure, certificate } = await erase(subject.userId);

    expect(erasure.state).toBe('completed');
    expect(certificate).toBeDefined();
    expect(await filesWith(app, SECRET)).toEqual([]);
    expect(await filesWith(app, 'Rhabarber')).not.toEqual([]);
    expect(app.context.media.find(mediaId)).toBeUndefined();
    const event = await other.ok('GET', `/rooms/${encodeURIComponent(roomId)}/event/${encodeURIComponent(eventId)}`);
    expect(event['content']).toEqual({});
    expect(event['sender']).toBe(subject.userId);
    const theirs = await other.ok('GET', `/rooms/${encodeURIComponent(roomId)}/event/${encodeURIComponent(kept)}`);
    expect(theirs['content']).toMatchObject({ body: 'Rhabarber of the other' });
  });

  it('leaves the tables that a replay of the log gives, and a room that goes on', async () => {
    await live(subject);
    await say(other, roomId, 'before');
    await erase(subject.userId);
    expect(await differences(app)).toEqual([]);
    const eventId = await say(other, roomId, 'after');
    expect(eventId).toMatch(/^\$/);
    const { chunk } = await other.ok('GET', `/rooms/${encodeURIComponent(roomId)}/messages?dir=b&limit=3`);
    expect((chunk as unknown as { content: object }[])[0]?.content).toMatchObject({ body: 'after' });
    expect(await differences(app)).toEqual([]);
  });

  it('changes no record: every leaf of the log is what it was', async () => {
    await live(subject);
    const leavesOf = async (): Promise<string[]> => {
      const leaves: string[] = [];
      for await (const batch of app.log.readLeaves(-1)) for (const leaf of batch) leaves.push(leaf.toString('hex'));
      return leaves;
    };
    const before = await leavesOf();
    await erase(subject.userId);
    expect((await leavesOf()).slice(0, before.length)).toEqual(before);
  });

  it('closes the account, and gives its name to nobody', async () => {
    await erase(subject.userId);
    expect((await subject.call('GET', '/account/whoami')).status).toBe(401);
    await expect(app.register('subject')).rejects.toThrow(/M_USER_IN_USE/);
  });

  it('has a certificate that is signed, and says what went and what stayed', async () => {
    await live(subject);
    const { erasure, certificate } = await erase(subject.userId);
    if (certificate === undefined) throw new Error('no certificate');
    expect(checkCertificate(certificate, signer.verifier)).toBe(true);
    expect(openNote(certificate.note, signer.verifier)).toContain(`subject ${subject.userId}`);
    expect(() =>
      checkCertificate({ ...certificate, note: certificate.note.replace('kept', 'lost') }, signer.verifier),
    ).toThrow();
    expect(checkCertificate({ ...certificate, document: `${certificate.document} ` }, signer.verifier)).toBe(false);
    const document = JSON.parse(certificate.document);
    expect(document).toMatchObject({
      subject: subject.userId,
      request: { case_id: 'DP-1', by: 'operator:test' },
      destroyed: { items: { messages: expect.any(Number), media: 1, account: expect.any(Number) }, media_files: 1 },
      log: { head_before: 'a checkpoint', head_after: 'a checkpoint' },
    });
    expect(document.kept.map(({ rule }: { rule: string }) => rule)).toContain('needed');
    expect(await app.context.compliance.erasures.certificate(erasure.id)).toEqual(certificate);
  });

  it('is not said to be done when the server stops before it is', async () => {
    await live(subject);
    const { compliance } = app.context;
    const id = await compliance.erasures.request({ userId: subject.userId, ...by });
    const running = compliance.erasures.run(id);
    running.catch(() => undefined);
    await compliance.close();
    await expect(running).rejects.toThrow();
    expect(compliance.erasures.find(id)).toMatchObject({ state: 'requested', certificateAt: null });
  });

  it('of whom there is nothing here is refused', async () => {
    await expect(erase('@nobody:localhost')).rejects.toThrow(/no such user/);
  });
});

describe('a hold', () => {
  it('defers what it covers, and it goes when the hold is released', async () => {
    const { holds, erasures } = app.context.compliance;
    const { eventId } = await live(subject);
    const holdId = await holds.add({ scope: { roomId }, caseId: 'C-1', reason: 'A lawsuit', by: 'operator:lawyer' });
    const { erasure, certificate } = await erase(subject.userId);
    expect(erasure).toMatchObject({ state: 'deferred', holdIds: [holdId] });
    expect(certificate).toBeUndefined();
    const at = `/rooms/${encodeURIComponent(roomId)}/event/${encodeURIComponent(eventId)}`;
    expect((await other.ok('GET', at))['content']).not.toEqual({});
    expect(await filesWith(app, `${SECRET} in account data`)).toEqual([]);

    await holds.release(holdId, { by: 'operator:lawyer', reason: 'It is settled' });
    // The release has begun it; this waits for the same.
    const done = await erasures.run(erasure.id);
    expect(done.erasure.state).toBe('completed');
    expect(await filesWith(app, SECRET)).toEqual([]);
    const document = JSON.parse(done.certificate?.document ?? '{}');
    expect(document.destroyed.items).toMatchObject({ messages: 2, account: expect.any(Number) });
    expect(await differences(app)).toEqual([]);
  });
});

describe('a user who closes their account and asks for erasure', () => {
  it('is erased after the delay', async () => {
    await live(subject);
    const { erasures } = app.context.compliance;
    await app.context.accounts.deactivate(subject.userId, { isErased: true });
    await expect.poll(() => erasures.of(subject.userId)).toHaveLength(1);
    const [request] = erasures.of(subject.userId);
    expect(request).toMatchObject({ by: 'subject', state: 'requested' });
    expect(await filesWith(app, SECRET)).not.toEqual([]);
    await erasures.run(request?.id ?? '');
    expect(await filesWith(app, SECRET)).toEqual([]);
  });
});
