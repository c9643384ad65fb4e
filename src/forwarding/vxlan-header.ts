// The VXLAN header in front of a frame: VNI and policy group are those of the remote that the frame
// goes to. Most remotes of a tunnel share one header; who has another is told apart here. Hot.

import type { RemoteTable } from "../remotes/remote-table.js";
import { writeVxlan, writeVxlanGroup } from "../wire/vxlan.js";
import { groupOf } from "./gbp.js";
import type { VxlanSettings } from "./vxlan-tunnel.js";

export class VxlanHeader {
  readonly #tunnel: VxlanSettings;
  readonly #remotes: RemoteTable;
  readonly #group: number;

  constructor(tunnel: VxlanSettings, remotes: RemoteTable) {
    this.#tunnel = tunnel;
    this.#remotes = remotes;
    this.#group = Math.max(0, tunnel.gbpId);
  }

  /** Writes the header that most remotes of the tunnel get. */
  writeCommon(bytes: Uint8Array, at: number): void {
    writeVxlan(bytes, at, this.#tunnel.vni);
    writeVxlanGroup(bytes, at, this.#group);
  }

  /** Is the header for this remote the common one? */
  isCommon(remote: number): boolean {
    if (this.#remotes.vni(remote) !== this.#tunnel.vni) return false;
    return groupOf(this.#tunnel, this.#remotes, remote) === this.#group;
  }

  /** Writes the header for one remote. */
  write(bytes: Uint8Array, at: number, remote: number): void {
    writeVxlan(bytes, at, this.#remotes.vni(remote));
    writeVxlanGroup(bytes, at, groupOf(this.#tunnel, this.#remotes, remote));
  }
}
