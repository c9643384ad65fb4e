// What an FDB has to know of the remotes that its entries point to; the remote table keeps it. No
// more than that: an FDB knows no addresses.

/** Keeps how many MACs each remote has, under the lock of the FDB; RemoteTable does. */
export interface RemoteMacs {
  /**
   * Hot. @returns the row that frames from a remote's host bear: its own, unless it has a port or
   * VNI of its own. Learning compares hosts, as the kernel's vxlan_snoop compares addresses only.
   */
  hostOf(remote: number): number;
  /** Hot. @returns MACs learned from a remote */
  learnedMacs(remote: number): number;
  /** @param change 1 or -1 */
  countMac(remote: number, change: number, learned: boolean): void;
}
