// livekit-client as released, driven by the address: ?url=..&token=..&key=..&camera=1. Tells the test's server what it hears and sees.
import { ExternalE2EEKeyProvider, Room, RoomEvent } from "livekit-client";

const options = new URLSearchParams(window.location.search);
const me = options.get("name");

const connections = [];
const Native = window.RTCPeerConnection;
window.RTCPeerConnection = class extends Native {
    constructor(...args) {
        super(...args);
        connections.push(this);
    }
};

async function report(what) {
    await fetch(`/report/${me}`, { method: "POST", body: JSON.stringify(what) });
}

async function statistics() {
    const sum = { audioPackets: 0, audioLost: 0, audioEnergy: 0, videoFrames: 0, width: 0 };
    for (const connection of connections) {
        if (connection.connectionState === "closed") continue;
        for (const stat of (await connection.getStats()).values()) {
            if (stat.type !== "inbound-rtp") continue;
            if (stat.kind === "audio") {
                sum.audioPackets += stat.packetsReceived ?? 0;
                sum.audioLost += stat.packetsLost ?? 0;
                sum.audioEnergy += stat.totalAudioEnergy ?? 0;
            } else {
                sum.videoFrames += stat.framesDecoded ?? 0;
                sum.width = Math.max(sum.width, stat.frameWidth ?? 0);
            }
        }
    }
    return sum;
}

async function join() {
    const roomOptions = { adaptiveStream: false, dynacast: true, singlePeerConnection: options.get("v0") !== "1" };
    let keys;
    if (options.get("key")) {
        keys = new ExternalE2EEKeyProvider();
        roomOptions.encryption = { keyProvider: keys, worker: new Worker("/e2ee-worker.js", { type: "module" }) };
    }
    const room = new Room(roomOptions);
    const heard = [];
    const states = [];
    room.on(RoomEvent.DataReceived, (payload, from, kind, topic) =>
        heard.push({ from: from?.identity ?? "", kind, topic, text: new TextDecoder().decode(payload) }));
    for (const event of [RoomEvent.Reconnecting, RoomEvent.Reconnected, RoomEvent.Disconnected, RoomEvent.SignalReconnecting])
        room.on(event, (reason) => states.push(`${event}${reason === undefined ? "" : ` ${reason}`}`));
    room.on(RoomEvent.TrackSubscribed, (track) => document.body.append(track.attach()));
    if (keys) {
        await keys.setKey(options.get("key"));
        await room.setE2EEEnabled(true);
    }
    await room.connect(options.get("url"), options.get("token"));
    await room.localParticipant.setMicrophoneEnabled(true);
    if (options.get("camera") === "1") await room.localParticipant.setCameraEnabled(true);
    for (let number = 0; ; number++) {
        const bytes = new TextEncoder().encode(`${me} ${number}`);
        await room.localParticipant.publishData(bytes, { reliable: number % 2 === 0, topic: "count" }).catch(() => {});
        await report({
            state: room.state,
            others: [...room.remoteParticipants.values()].map((other) => ({ identity: other.identity, speaking: other.isSpeaking })),
            media: await statistics(), heard: heard.slice(-10), states,
        });
        await new Promise((resolve) => setTimeout(resolve, 500));
    }
}

join().catch((error) => report({ error: `${error?.stack ?? error}` }));
