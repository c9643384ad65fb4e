// The daemon as the control socket sees it: one method per request, each handled by the file of its
// resource.

import type { ControlTarget } from "../../control/target.js";
import type { ControlContext } from "./context.js";
import { fdbChange, fdbFlush, fdbShow } from "./fdb.js";
import { neighChange, neighFlush, neighShow } from "./neigh.js";
import { countersReport, statusReport } from "./reports.js";
import { routeGet, routeShow } from "./routes.js";

export function controlTarget(context: ControlContext): ControlTarget {
  return {
    status: () => statusReport(context),
    counters: () => countersReport(context),
    fdbShow: (query) => fdbShow(context, query),
    fdbChange: (change) => fdbChange(context, change),
    fdbFlush: (query) => fdbFlush(context, query),
    neighShow: (query) => neighShow(context, query),
    neighChange: (change) => neighChange(context, change),
    neighFlush: (query) => neighFlush(context, query),
    routeShow: (query) => routeShow(context, query),
    routeGet: (query) => routeGet(context, query),
  };
}
