// What clients use before it is in the specification: sliding sync, delayed events, signing in with a QR code.
import { QrCodeData, QrCodeIntent } from "@matrix-org/matrix-sdk-crypto-wasm";
import { SlidingSync } from "matrix-js-sdk/lib/sliding-sync.js";
import { MSC4108RendezvousSession } from "matrix-js-sdk/lib/rendezvous/transports/index.js";
import { MSC4108SecureChannel } from "matrix-js-sdk/lib/rendezvous/channels/index.js";

const POLL_MS = 10_000;
const WANTED = {
    timeline_limit: 20,
    required_state: [
        ["m.room.create", ""],
        ["m.room.name", ""],
        ["m.room.encryption", ""],
        ["m.room.history_visibility", ""],
        ["m.room.power_levels", ""],
        ["m.room.member", "$LAZY"],
        ["m.room.member", "$ME"],
    ],
};

/** Sliding sync as Element Web's labs begin it: a window of the newest rooms. */
export function slidingSync(client, baseUrl) {
    const lists = new Map([["rooms", { ranges: [[0, 19]], ...WANTED }]]);
    return new SlidingSync(baseUrl, lists, WANTED, client, POLL_MS);
}

export function proposals(client) {
    let channel;
    return {
        // -- delayed events (MSC4140)

        async send_delayed({ room_id, body, delay_ms }) {
            const content = { msgtype: "m.text", body };
            const answer = await client._unstable_sendDelayedEvent(
                room_id, { delay: delay_ms }, null, "m.room.message", content,
            );
            return answer.delay_id;
        },

        /** `action`: "Send", "Cancel" or "Restart". */
        async manage_delayed({ delay_id, action }) {
            await client[`_unstable_${action.toLowerCase()}ScheduledDelayedEvent`](delay_id);
        },

        async delayed() {
            const answer = await client._unstable_getDelayedEvents("scheduled");
            return (answer.delayed_events ?? answer.scheduled ?? []).map((each) => each.delay_id);
        },

        // -- a secure channel between two devices (MSC4108)

        /** Bytes of a QR code, base64. */
        async qr_show() {
            const session = new MSC4108RendezvousSession({ client });
            await session.send("");
            channel = new MSC4108SecureChannel(session);
            const code = await channel.generateCode(QrCodeIntent.Reciprocate, client.getDomain());
            return Buffer.from(code).toString("base64");
        },

        async qr_scan({ code }) {
            const seen = QrCodeData.fromBytes(Buffer.from(code, "base64"));
            const data = seen.intentData;
            const url = seen.rendezvousUrl ?? data.rendezvousUrl ?? data.rendezvous_url;
            channel = new MSC4108SecureChannel(new MSC4108RendezvousSession({ url }), seen.publicKey);
        },

        /** Both do this at the same time; the code that people compare. */
        async qr_connect() {
            await channel.connect();
            return channel.getCheckCode();
        },

        async qr_tell({ payload }) {
            await channel.secureSend(payload);
        },

        async qr_hear() {
            return channel.secureReceive();
        },

        async qr_close() {
            await channel.close();
        },
    };
}
