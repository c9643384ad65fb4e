// What native-bindings offers to the rest of the project (imported as `#native`): the batch
// functions with the rows they work on, and `Tun`/`Tap` for scripts.

export * from "./abi.js";
export type { EgressHandle, IngressHandle, Native, WatchHandle } from "./addon.js";
export { native } from "./addon.js";
export { Tap, Tun } from "./tuntap.js";
