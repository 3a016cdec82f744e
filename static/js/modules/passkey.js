// Passkeys: <form data-module="passkey" data-passkey="create|get|sign-in"> asks the browser for one and sends its answer.
//
// create and get take their options from the JSON in data-options="id"; sign-in fetches a challenge from the form's address.

import { $ } from "../dom.js";
import { _ } from "../i18n.js";
import { getJSON } from "../net.js";

function bytes(text) {
  const plain = atob(text.replace(/-/g, "+").replace(/_/g, "/"));
  return Uint8Array.from(plain, (letter) => letter.charCodeAt(0));
}

function text(buffer) {
  const letters = Array.from(new Uint8Array(buffer), (byte) => String.fromCharCode(byte)).join("");
  return btoa(letters).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
}

const known = (list) => (list ?? []).map((one) => ({ ...one, id: bytes(one.id) }));

/** The answer of the browser as JSON: every part of bytes is base64url. */
function plain(credential) {
  const { response } = credential;
  const parts = ["clientDataJSON", "attestationObject", "authenticatorData", "signature", "userHandle"];
  return {
    id: credential.id,
    rawId: text(credential.rawId),
    type: credential.type,
    authenticatorAttachment: credential.authenticatorAttachment ?? null,
    clientExtensionResults: credential.getClientExtensionResults(),
    response: {
      ...Object.fromEntries(parts.filter((name) => response[name]).map((name) => [name, text(response[name])])),
      ...(response.getTransports ? { transports: response.getTransports() } : {}),
    },
  };
}

async function create({ publicKey }, alone) {
  const options = {
    ...publicKey,
    challenge: bytes(publicKey.challenge),
    user: { ...publicKey.user, id: bytes(publicKey.user.id) },
    excludeCredentials: known(publicKey.excludeCredentials),
    authenticatorSelection: {
      ...publicKey.authenticatorSelection,
      residentKey: alone ? "required" : "discouraged",
      requireResidentKey: alone,
      userVerification: alone ? "required" : "preferred",
    },
  };
  return navigator.credentials.create({ publicKey: options });
}

async function get({ publicKey }) {
  const options = {
    ...publicKey,
    challenge: bytes(publicKey.challenge),
    allowCredentials: known(publicKey.allowCredentials),
  };
  return navigator.credentials.get({ publicKey: options });
}

async function ask(form) {
  if (form.dataset.passkey === "sign-in") {
    const { request_options: options, state } = await getJSON(form.action);
    form.elements.state.value = state;
    return get(options);
  }
  const options = JSON.parse(document.getElementById(form.dataset.options).textContent);
  if (form.dataset.passkey === "get") return get(options.request_options);
  return create(options.creation_options, form.elements.passwordless?.checked ?? false);
}

function reason(error) {
  if (error.name === "NotAllowedError") return _("It was cancelled, or took too long. Try again.");
  if (error.name === "InvalidStateError") return _("This device holds a passkey for you already.");
  if (error.name === "SecurityError") return _("The browser allows no passkeys at this address.");
  return error.message || _("The browser could not use a passkey.");
}

export default function start(form) {
  const problem = $("[data-passkey-problem]", form);
  const say = (words) => {
    problem.textContent = words;
    problem.hidden = !words;
  };
  if (!window.PublicKeyCredential) {
    say(_("This browser has no passkeys, or allows them only over https."));
    return;
  }
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    say("");
    try {
      form.elements.credential.value = JSON.stringify(plain(await ask(form)));
    } catch (error) {
      say(reason(error));
      return;
    }
    form.submit();
  });
}
