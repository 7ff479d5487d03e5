import { expect, test } from 'vitest';
import { availableRoomVersions, roomVersionRules, SUPPORTED_ROOM_VERSIONS } from './room-version.ts';

test('every supported version has rules under its own name', () => {
  expect(SUPPORTED_ROOM_VERSIONS).toEqual(['1', '2', '3', '4', '5', '6', '7', '8', '9', '10', '11', '12']);
  for (const version of SUPPORTED_ROOM_VERSIONS) expect(roomVersionRules(version)?.version).toBe(version);
});

test.each(['', '0', '13', 'constructor', '__proto__', 'org.example'])('%j is not supported', (version) => {
  expect(roomVersionRules(version)).toBeUndefined();
});

test('the capabilities show each version with its stability', () => {
  const shown = Object.fromEntries(SUPPORTED_ROOM_VERSIONS.map((version) => [version, 'stable']));
  expect(availableRoomVersions()).toEqual(shown);
});
