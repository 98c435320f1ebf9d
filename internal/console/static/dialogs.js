// What opens over the page.
import { byId, el, setText } from "./dom.js";
import { Refused, token } from "./gateway.js";

for (const button of document.querySelectorAll("[data-close]")) {
  button.addEventListener("click", () => button.closest("dialog").close());
}

// ask opens a dialog and resolves with the value of the button that closed it.
function ask(dialog) {
  return new Promise((resolve) => {
    dialog.returnValue = "";
    dialog.addEventListener("close", () => resolve(dialog.returnValue), { once: true });
    dialog.showModal();
  });
}

let asking = null;

// askToken has the reader give the token, and says whether he did. Who asks while it is
// being asked waits for the same answer.
export function askToken(why) {
  asking ??= (async () => {
    const input = byId("token-value");
    byId("token-why").textContent = why;
    input.value = "";
    const answer = ask(byId("token"));
    input.focus();
    const used = (await answer) === "use" && input.value.trim() !== "";
    if (used) token.set(input.value.trim());
    input.value = "";
    asking = null;
    return used;
  })();
  return asking;
}

// guarded does what may need a token, and asks for one if it is refused without.
export async function guarded(act) {
  for (;;) {
    try {
      return await act();
    } catch (e) {
      if (!(e instanceof Refused) || e.status !== 401) throw e;
      const why = token.get() === "" ? "This needs the admin token of the gateway." : "The gateway doesn't take the token that was given.";
      if (!(await askToken(why))) throw e;
    }
  }
}

export async function confirmCancel(id, model, provider) {
  byId("confirm-text").replaceChildren(`${id}: `, el("bdi", {}, model || "unknown model"), ` at ${provider}`);
  return (await ask(byId("confirm"))) === "yes";
}

// problem shows what went wrong, until it is called with nothing.
export function problem(text = "") {
  const p = byId("problem");
  p.hidden = text === "";
  setText(p, text);
}

// announce says something to who doesn't see the page.
export function announce(text) {
  byId("announce").textContent = text;
}

export const linkButton = (text, title, onClick) => el("button", { type: "button", class: "link", title, click: onClick }, text);
