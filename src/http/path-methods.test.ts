import { expect, test } from 'vitest';
import { PathMethods } from './path-methods.ts';

function pathsOf(...routes: readonly (readonly ['GET' | 'PUT' | 'POST', string])[]): PathMethods {
  const paths = new PathMethods();
  for (const [method, url] of routes) paths.add(url, method);
  return paths;
}

test('a path has the methods of all that are declared for it, whatever its parameters are called', () => {
  const paths = pathsOf(['GET', '/rooms/:roomId/state'], ['PUT', '/rooms/:room_id/state']);

  expect(paths.at('/rooms/!a:b/state?x=1')).toEqual(['GET', 'PUT']);
  expect(paths.at('/rooms/%21a%2Fb/state')).toEqual(['GET', 'PUT']);
  expect(paths.at('/rooms/!a:b/states')).toBeUndefined();
  expect(paths.at('/rooms/!a:b')).toBeUndefined();
});

test('what is spelled out goes before a parameter', () => {
  const paths = pathsOf(['PUT', '/profile/:userId/:key'], ['GET', '/profile/:userId/name'], ['GET', '/a::b']);

  expect(paths.at('/profile/@a:b/name')).toEqual(['GET']);
  expect(paths.at('/profile/@a:b/other')).toEqual(['PUT']);
  expect(paths.at('/a:b')).toEqual(['GET']);
});

test('the router is told of methods that it would find at another path', () => {
  const paths = pathsOf(['PUT', '/profile/:userId/:key'], ['GET', '/profile/:userId/name'], ['POST', '/login']);

  expect([...paths.hidden()]).toEqual([
    { url: '/profile/:userId/:key', methods: ['GET'], allowed: ['PUT'] },
    { url: '/profile/:userId/name', methods: ['PUT'], allowed: ['GET'] },
  ]);
});

test('a path that is not percent-encoded as it should be is none of the known', () => {
  expect(pathsOf(['GET', '/login']).at('/%zz')).toBeUndefined();
});
