/** Which addresses belong to the public Internet: where requests may go that somebody else had a hand in. */
import { BlockList, isIP } from 'node:net';

/** IANA's special-purpose IPv4 blocks that are not globally reachable, multicast, and what is reserved. */
const SPECIAL_IPV4: readonly (readonly [network: string, prefix: number])[] = [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.88.99.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 4],
  ['240.0.0.0', 4],
];

/** What of 2000::/3 is not globally reachable, or leads to an IPv4 address that cannot be seen here. */
const SPECIAL_IPV6: readonly (readonly [network: string, prefix: number])[] = [
  ['2001::', 23],
  ['2001:db8::', 32],
  ['2002::', 16],
  ['3fff::', 20],
];

/** IPv6 networks whose last 32 bits are the IPv4 address that is reached in the end: mapped addresses and NAT64. */
const IPV4_WITHIN_IPV6: readonly string[] = ['::ffff:', '64:ff9b::'];
const IPV4_WITHIN_IPV6_PREFIX = 96;

const special = new BlockList();
/** Global unicast, and the networks that lead to IPv4; everything else (loopback, unique local, link-local, …) is not public. */
const reachableIpv6 = new BlockList();
reachableIpv6.addSubnet('2000::', 3, 'ipv6');
for (const [network, prefix] of SPECIAL_IPV6) special.addSubnet(network, prefix, 'ipv6');
for (const lead of IPV4_WITHIN_IPV6) reachableIpv6.addSubnet(`${lead}0.0.0.0`, IPV4_WITHIN_IPV6_PREFIX, 'ipv6');
for (const [network, prefix] of SPECIAL_IPV4) {
  special.addSubnet(network, prefix, 'ipv4');
  for (const lead of IPV4_WITHIN_IPV6) {
    special.addSubnet(`${lead}${network}`, IPV4_WITHIN_IPV6_PREFIX + prefix, 'ipv6');
  }
}

/**
 * Whether an IP address is one of the public Internet. Not so loopback, private, link-local, carrier-grade NAT, multicast,
 * documentation and reserved ones, whether they are written as IPv4, as IPv4 within IPv6, or as IPv6; and no text that is
 * not an address, or names a zone.
 */
export function isPublicAddress(address: string): boolean {
  switch (isIP(address)) {
    case 4:
      return !special.check(address, 'ipv4');
    case 6:
      if (address.includes('%')) return false;
      return reachableIpv6.check(address, 'ipv6') && !special.check(address, 'ipv6');
    default:
      return false;
  }
}
