// The choice of the time zone, in the last line of every page.

import { keepZone, text, zone } from "./format.js";
import { byId, make, show } from "./page.js";

const own = Intl.DateTimeFormat().resolvedOptions().timeZone;
const first = [...new Set(["UTC", own, zone])];
const others = Intl.supportedValuesOf("timeZone").filter((name) => !first.includes(name));
const option = (name) => make("option", { value: name, selected: name === zone },
  name === own && name !== "UTC" ? text("zone_local", { zone: name }) : name);

show(byId("zone-note"), text("times_are_in", { zone }));
byId("zone-label").hidden = false;
byId("zone").replaceChildren(...first.map(option));
// Four hundred names are made when someone wants to choose one.
byId("zone").addEventListener("focus", () => byId("zone").append(...others.map(option)), { once: true });
// Everything on the page is written again.
byId("zone").addEventListener("change", () => keepZone(byId("zone").value) && location.reload());
