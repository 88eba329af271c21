// Puts Element Call into the frame and feeds it with what happens in the room.
import { ClientWidgetApi, Widget } from "matrix-widget-api";

import { CallDriver } from "./driver.js";
import { homeserver } from "./session.js";

export function openCall(client, room, frame, options) {
    const widget = new Widget({
        id: "call",
        creatorUserId: client.getUserId(),
        type: "m.custom",
        url: addressOf(client, room, options),
        waitForIframeLoad: false,
        data: {},
    });
    const api = new ClientWidgetApi(widget, frame, new CallDriver(client, room.roomId));
    api.setViewedRoomId(room.roomId);
    feed(client, room, api);
    frame.src = widget.getCompleteUrl({ widgetRoomId: room.roomId, currentUserId: client.getUserId() });
    return api;
}

function addressOf(client, room, { encrypted, skipLobby, intent, sound }) {
    const parameters = new URLSearchParams({
        widgetId: "call",
        parentUrl: window.location.href.split("#")[0],
        userId: client.getUserId(),
        deviceId: client.getDeviceId(),
        roomId: room.roomId,
        baseUrl: homeserver,
        displayName: room.getMember(client.getUserId())?.name ?? "",
        lang: navigator.language.toLowerCase(),
        intent: intent ?? "join_existing",
        skipLobby: String(Boolean(skipLobby)),
        perParticipantE2EE: String(encrypted),
        confineToRoom: "true",
        header: "none",
        preload: "false",
        ...sound,
    });
    return `${new URL("./element-call/index.html", window.location.href)}#?${parameters}`;
}

function feed(client, room, api) {
    const mine = (event) => event.getRoomId() === room.roomId;
    client.on("event", (event) => {
        if (!mine(event) || event.isEncrypted()) return;
        api.feedEvent(event.getEffectiveEvent());
    });
    client.on("Event.decrypted", (event) => {
        if (mine(event) && !event.isDecryptionFailure()) api.feedEvent(event.getEffectiveEvent());
    });
    client.on("RoomState.events", (event) => {
        if (mine(event)) api.feedStateUpdate(event.getEffectiveEvent());
    });
    client.on("receivedToDeviceMessage", ({ message, encryptionInfo }) => {
        api.feedToDevice(message, encryptionInfo !== null && encryptionInfo !== undefined);
    });
}
