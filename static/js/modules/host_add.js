// "Add host": shows the fields that the chosen way to reach the host needs.

import { $$ } from "../dom.js";

const NEEDED = {
  local: [],
  test: [],
  ssh: ["address", "port", "user", "sign_in"],
  tls: ["address", "port", "ca", "client_cert", "client_key"],
  tcp: ["address", "port", "user", "password"],
};
const SECRET = { key: ["private_key"], password: ["password"], make: [] };

export default function start(form) {
  const transport = form.elements.namedItem("transport");
  const signIn = form.elements.namedItem("sign_in");
  const show = () => {
    const secret = transport.value === "ssh" ? SECRET[signIn.value] : [];
    const wanted = new Set(["name", "transport", ...NEEDED[transport.value], ...secret]);
    for (const box of $$("[data-field]", form)) box.hidden = !wanted.has(box.dataset.field);
  };
  transport.addEventListener("change", show);
  signIn.addEventListener("change", show);
  show();
}
