// The daemon as the control socket sees it: one method per request, each handled by the file of its
// resource.

import type { ControlTarget } from "../../control/target.js";
import { runBatch } from "./batch.js";
import type { ControlContext } from "./context.js";
import { fdbChange, fdbFlush } from "./fdb.js";
import { fdbPage, fdbShow } from "./fdb-show.js";
import { neighChange, neighFlush, neighShow } from "./neigh.js";
import { countersReport, statusReport } from "./reports.js";
import { RouteListings, routeGet } from "./routes.js";

export function controlTarget(context: ControlContext): ControlTarget {
  const listings = new RouteListings(context);
  return {
    status: () => statusReport(context),
    counters: () => countersReport(context),
    fdbShow: (query) => fdbShow(context, query),
    fdbPage: (query) => fdbPage(context, query),
    fdbChange: (change) => fdbChange(context, change),
    fdbBatch: (batch) => runBatch(batch, (change) => fdbChange(context, change)),
    fdbFlush: (query) => fdbFlush(context, query),
    neighShow: (query) => neighShow(context, query),
    neighChange: (change) => neighChange(context, change),
    neighBatch: (batch) => runBatch(batch, (change) => neighChange(context, change)),
    neighFlush: (query) => neighFlush(context, query),
    routeShow: (query) => listings.show(query),
    routePage: (query) => listings.page(query),
    routeGet: (query) => routeGet(context, query),
  };
}
