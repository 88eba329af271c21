// Who sits in front of the page: a guest of this server, or one of its users. Nothing is kept after the tab closes.
import { createClient } from "matrix-js-sdk";

/** The homeserver that serves this page. */
export const homeserver = window.location.origin;

export async function signInAsGuest(name) {
    const anonymous = createClient({ baseUrl: homeserver });
    const guest = await anonymous.registerGuest({ body: {} });
    const client = startable(guest);
    client.setGuest(true);
    await client.setDisplayName(name).catch(() => {});
    return client;
}

export async function signInWithPassword(user, password) {
    const anonymous = createClient({ baseUrl: homeserver });
    const login = await anonymous.loginRequest({
        type: "m.login.password",
        identifier: { type: "m.id.user", user },
        password,
        initial_device_display_name: "Call in a browser",
    });
    return startable(login);
}

function startable(login) {
    return createClient({
        baseUrl: homeserver,
        userId: login.user_id,
        deviceId: login.device_id,
        accessToken: login.access_token,
        useAuthorizationHeader: true,
        timelineSupport: true,
    });
}

/** Keys are made for this visit only: a guest has nothing to recover later. */
export async function start(client) {
    await client.initRustCrypto({ useIndexedDB: false });
    const ready = new Promise((resolve, reject) => {
        client.on("sync", (state, _previous, data) => {
            if (state === "PREPARED" || state === "SYNCING") resolve();
            if (state === "ERROR" && data?.error?.errcode === "M_UNKNOWN_TOKEN") reject(data.error);
        });
    });
    await client.startClient({ initialSyncLimit: 20, lazyLoadMembers: true });
    await ready;
}

/** Joins by room id or alias; the room object is there when the join came down with sync. */
export async function enterRoom(client, address, viaServers) {
    const { roomId } = await client.joinRoom(address, { viaServers });
    for (let waited = 0; waited < 100; waited++) {
        const room = client.getRoom(roomId);
        if (room?.getMyMembership() === "join") return room;
        await new Promise((resolve) => setTimeout(resolve, 100));
    }
    throw new Error("The room did not arrive");
}
