// What Element Call may do through us: the widget API's driver on top of matrix-js-sdk. Only in this one room.
import { EventType } from "matrix-js-sdk";
import { WidgetDriver } from "matrix-widget-api";

export class CallDriver extends WidgetDriver {
    #client;
    #roomId;

    constructor(client, roomId) {
        super();
        this.#client = client;
        this.#roomId = roomId;
    }

    // The page shows one widget that the operator installed himself: there is nobody to ask.
    async validateCapabilities(requested) {
        return requested;
    }

    getKnownRooms() {
        return [this.#roomId];
    }

    get #room() {
        return this.#client.getRoom(this.#roomId);
    }

    async sendEvent(type, content, stateKey = null) {
        const sent =
            stateKey === null
                ? await (type === EventType.RoomRedaction
                      ? this.#client.redactEvent(this.#roomId, content.redacts)
                      : this.#client.sendEvent(this.#roomId, type, content))
                : await this.#client.sendStateEvent(this.#roomId, type, content, stateKey);
        return { roomId: this.#roomId, eventId: sent.event_id };
    }

    async sendStickyEvent(durationMs, type, content) {
        const sent = await this.#client._unstable_sendStickyEvent(this.#roomId, durationMs, null, type, content);
        return { roomId: this.#roomId, eventId: sent.event_id };
    }

    async sendDelayedEvent(delay, type, content, stateKey = null) {
        const scheduled =
            stateKey === null
                ? await this.#client._unstable_sendDelayedEvent(this.#roomId, { delay }, null, type, content)
                : await this.#client._unstable_sendDelayedStateEvent(this.#roomId, { delay }, type, content, stateKey);
        return { roomId: this.#roomId, delayId: scheduled.delay_id };
    }

    async sendDelayedStickyEvent(delay, durationMs, type, content) {
        const scheduled = await this.#client._unstable_sendStickyDelayedEvent(
            this.#roomId, durationMs, { delay }, null, type, content,
        );
        return { roomId: this.#roomId, delayId: scheduled.delay_id };
    }

    async cancelScheduledDelayedEvent(delayId) {
        await this.#client._unstable_cancelScheduledDelayedEvent(delayId);
    }

    async restartScheduledDelayedEvent(delayId) {
        await this.#client._unstable_restartScheduledDelayedEvent(delayId);
    }

    async sendScheduledDelayedEvent(delayId) {
        await this.#client._unstable_sendScheduledDelayedEvent(delayId);
    }

    async sendToDevice(type, encrypted, contentMap) {
        if (!encrypted) {
            const map = new Map(Object.entries(contentMap).map(([user, devices]) => [user, new Map(Object.entries(devices))]));
            await this.#client.sendToDevice(type, map);
            return;
        }
        // Devices that get the same content are one batch, as encryptAndSendToDevice wants it.
        const batches = new Map();
        for (const [userId, devices] of Object.entries(contentMap)) {
            for (const [deviceId, content] of Object.entries(devices)) {
                const key = JSON.stringify(content);
                if (!batches.has(key)) batches.set(key, { content, devices: [] });
                for (const each of await this.#devices(userId, deviceId)) batches.get(key).devices.push({ userId, deviceId: each });
            }
        }
        await this.#client.getCrypto().getUserDeviceInfo(Object.keys(contentMap), true);
        for (const { content, devices } of batches.values()) {
            await this.#client.encryptAndSendToDevice(type, devices, content);
        }
    }

    async #devices(userId, deviceId) {
        if (deviceId !== "*") return [deviceId];
        const known = await this.#client.getCrypto().getUserDeviceInfo([userId], true);
        return [...(known.get(userId)?.keys() ?? [])];
    }

    async readRoomTimeline(_roomId, type, msgtype, stateKey, limit) {
        const events = this.#room.getLiveTimeline().getEvents().filter(
            (event) =>
                event.getType() === type &&
                (msgtype === undefined || event.getContent().msgtype === msgtype) &&
                (stateKey === undefined || event.getStateKey() === stateKey),
        );
        const wanted = limit > 0 ? events.slice(-limit) : events;
        return wanted.reverse().map((event) => event.getEffectiveEvent());
    }

    async readRoomState(_roomId, type, stateKey) {
        const state = this.#room.getLiveTimeline().getState("f");
        if (stateKey === undefined) return state.getStateEvents(type).map((event) => event.getEffectiveEvent());
        const event = state.getStateEvents(type, stateKey);
        return event === null ? [] : [event.getEffectiveEvent()];
    }

    async readStickyEvents() {
        return [...this.#room._unstable_getStickyEvents()].map((event) => event.getEffectiveEvent());
    }

    async readRoomAccountData(type) {
        const data = this.#room.getAccountData(type);
        return data ? [{ type, room_id: this.#roomId, content: data.getContent() }] : [];
    }

    async readEventRelations(eventId, _roomId, relationType, eventType, from, to, limit, direction) {
        const { events, nextBatch, prevBatch } = await this.#client.relations(
            this.#roomId, eventId, relationType ?? null, eventType ?? null, { from, to, limit, dir: direction },
        );
        return { chunk: events.map((event) => event.getEffectiveEvent()), nextBatch, prevBatch };
    }

    async askOpenID(observer) {
        observer.update({ state: "allowed", token: await this.#client.getOpenIdToken() });
    }

    async *getTurnServers() {
        const servers = await this.#client.turnServer();
        if (servers.uris) yield { uris: servers.uris, username: servers.username, password: servers.password };
    }

    async getRtcTransports() {
        return { rtc_transports: await this.#client._unstable_getRTCTransports() };
    }

    async getRtcLivekitToken(data) {
        return await this.#client._unstable_getLivekitToken(data);
    }

    async delegateRtcLivekitDelayedLeave(data) {
        return await this.#client._unstable_delegateDelayedLeave(data);
    }

    async getMediaConfig() {
        return await this.#client.getMediaConfig();
    }

    async uploadFile(file) {
        return { contentUri: (await this.#client.uploadContent(file)).content_uri };
    }

    async downloadFile(contentUri) {
        const url = this.#client.mxcUrlToHttp(contentUri, undefined, undefined, undefined, false, true, true);
        const answer = await fetch(url, { headers: { Authorization: `Bearer ${this.#client.getAccessToken()}` } });
        return { file: await answer.blob() };
    }

    processError(error) {
        if (!error?.errcode) return undefined;
        return {
            matrix_api_error: {
                http_status: error.httpStatus, http_headers: {}, url: "", response: error.data ?? { errcode: error.errcode },
            },
        };
    }
}
