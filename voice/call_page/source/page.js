// A link such as `/_voicechat/call/#/!room:server` or `#/#alias:server` opens a call in a browser.
import { enterRoom, signInAsGuest, signInWithPassword, start } from "./session.js";
import { openCall } from "./widget.js";

const element = (id) => document.getElementById(id);

/** `#/<room id or alias>?via=server&encrypted=false&skipLobby=true&intent=...&noiseSuppression=false`; an alias begins with its own '#'. */
function readLink() {
    const [path, query = ""] = window.location.hash.replace(/^#\/?/, "").split("?");
    const parameters = new URLSearchParams(query);
    return {
        address: decodeURIComponent(path),
        viaServers: parameters.getAll("via"),
        encrypted: parameters.get("encrypted") !== "false",
        skipLobby: parameters.get("skipLobby") === "true",
        intent: parameters.get("intent") ?? undefined,
        // For music: sound as the microphone has it.
        sound: Object.fromEntries([...parameters].filter(([name]) => ["noiseSuppression", "echoCancellation"].includes(name))),
    };
}

async function enter(link) {
    const user = element("user").value.trim();
    const client = user
        ? await signInWithPassword(user, element("password").value)
        : await signInAsGuest(element("name").value.trim());
    await start(client);
    const room = await enterRoom(client, link.address, link.viaServers);
    element("door").hidden = true;
    element("call").hidden = false;
    const api = openCall(client, room, element("call"), link);
    const leave = () => {
        api.stop();
        client.stopClient();
        if (!client.isGuest()) client.logout(true).catch(() => {});
        element("call").remove();
        element("door").hidden = false;
        element("message").textContent = "You left the call.";
    };
    api.on("action:io.element.close", (event) => {
        event.preventDefault();
        api.transport.reply(event.detail, {});
        leave();
    });
    for (const action of ["io.element.join", "im.vector.hangup", "io.element.device_mute", "set_always_on_screen"]) {
        api.on(`action:${action}`, (event) => {
            event.preventDefault();
            api.transport.reply(event.detail, {});
        });
    }
}

function explain(error) {
    if (error.errcode === "M_FORBIDDEN") return "You may not enter. Ask for an invitation, or sign in with an account.";
    if (error.errcode === "M_NOT_FOUND") return "There is no such room.";
    if (error.errcode === "M_GUEST_ACCESS_FORBIDDEN" || error.errcode === "M_UNRECOGNIZED") return "This server has no guests; please sign in.";
    return error.data?.error ?? error.message;
}

const link = readLink();
element("where").textContent = link.address;
element("account").addEventListener("toggle", () => {
    element("name").required = !element("account").open;
});
element("enter").addEventListener("submit", async (event) => {
    event.preventDefault();
    element("join").disabled = true;
    element("message").textContent = "";
    try {
        await enter(link);
    } catch (error) {
        console.error(error);
        element("message").textContent = explain(error);
    } finally {
        element("join").disabled = false;
    }
});
element("join").disabled = false;
