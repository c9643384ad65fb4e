// Routes as the control socket tells them: of the kernel over the devices of IPIP tunnels, and
// without encapsulation. Types only; the operations stand in target.ts.

export interface RouteProblems {
  /** Prefixes with a next hop that cannot be an outer destination. */
  unreachable: number;
  /** Next hops that are reached through the tunnel itself: the first ones. */
  recursive: string[];
  /** Routes for which there was no room. */
  beyond_limits: number;
}

/** A route without encapsulation. */
export interface DirectRouteStatus {
  to: string;
  /** Underlay address of the peer. */
  via: string;
  /** Underlay device. */
  dev: string;
  metric: number;
  /** missing: it could not be set, or somebody deleted it. */
  state: "ok" | "missing";
}

/** A tunnel of type route. */
export interface RouteTunnelStatus {
  name: string;
  type: "route";
  routes: {
    to: string;
    via: string;
    metric: number;
    /** Absent while the next hop cannot be reached directly. */
    dev?: string | undefined;
    state: "ok" | "missing" | "unreachable";
  }[];
}

export interface RouteQuery {
  dev?: string | undefined;
}

export interface RoutePageQuery extends RouteQuery {
  /** `next` of the page before; absent: the first page. */
  from?: number | undefined;
}

export interface RoutePage {
  routes: RouteEntry[];
  /** Absent: this was the last page. */
  next?: number | undefined;
}

/** A gateway as `ip -j route` has it: of the route's own family, or of the other one. */
export interface RouteGateway {
  gateway?: string | undefined;
  via?: { family: "inet" | "inet6"; host: string } | undefined;
}

/** `onlink`; `dead`, `unreachable`, `recursive` and `full` say why it is not in use. */
export type RouteFlag = "onlink" | "dead" | "unreachable" | "recursive" | "full";

export interface RouteNextHop extends RouteGateway {
  dev: string;
  weight: number;
  flags: RouteFlag[];
}

/** One route over an ipip tunnel; keys and values as of `ip -j route`. */
export interface RouteEntry extends RouteGateway {
  /** "192.168.11.0/24", "192.168.13.7", "default". */
  dst: string;
  dev: string;
  /** Unless it is the table main. */
  table?: string | undefined;
  /** Who set it: "kernel", "static", "bird" ..., or a number. */
  protocol: string;
  scope?: string | undefined;
  metric?: number | undefined;
  /** Of a route with several. */
  nexthops?: RouteNextHop[] | undefined;
  flags: RouteFlag[];
}

export interface RouteGet {
  to: string;
  dev?: string | undefined;
}

export interface RouteDecision {
  to: string;
  dev: string;
  /** The longest matching prefix. */
  match: string;
  /** Outer destination: the next hop, or the inner destination when the route has none. */
  outer: string;
  /** Where the flow decides: every outer destination, `outer` among them, with its share. */
  nexthops?: { outer: string; weight: number }[] | undefined;
  /** One sentence on why. */
  why: string;
}
